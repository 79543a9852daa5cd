import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from resomap.config.architecture import Architecture
from resomap.config.schema import Config, Runtime
from resomap.models.registry import build_model, load_architectures
from resomap.training.autosave import Autosave
from resomap.training.build import (
    build_loaders,
    build_trainer,
    class_weights,
)
from resomap.training.distributed import Group
from resomap.training.fit import Outcome, fit
from resomap.training.states import StateFolder
from resomap.training.steps import build_noise_store
from resomap.training.trainer import Trainer
from tests.recipes import EVERY_AUGMENTATION, finetune

ARCHITECTURES = load_architectures()


def build(name: str, num_classes: int = 4, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(ARCHITECTURES[name], num_classes)


def test_class_weights_equal_sklearn_balanced():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    torch.testing.assert_close(class_weights(labels, 3), torch.from_numpy(expected).float())


CPU = torch.device("cpu")
DROPOUT_NETWORK = "squeezenet1_1"
KILLS = 10


def build_dropout_trainer(
    config: Config,
    seed: int = 3,
    builder: str = DROPOUT_NETWORK,
    side: int = 24,
    **changes: Any,
) -> Trainer:
    entry = Architecture(name="dropout", family="other", builder=builder)
    changes = {"batch_size": 4, "epochs": 1, **changes}
    recipe = config.training.model_copy(update=changes)
    store = build_noise_store(batch_size=4, largest=side, classes=3)
    store = replace(store, counts={"train": 48, "val": 8})
    runtime: Runtime = config.system.training
    loaders = build_loaders(recipe, store, side, seed, runtime, Group(), CPU)
    return build_trainer(recipe, entry, seed, store, *loaders, CPU, Group(), resolution=side)


class StatesInMemory(StateFolder):
    """A copy of the last state: half a gigabyte of weights need not reach a disk ten times."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"), "this training")
        self.state: Any = None

    def save(self, state: Any) -> None:
        """Keep a copy of `state` only."""
        self.state = deepcopy(state)

    def load(self) -> Any:
        """Return a copy, as a read from disk would."""
        return deepcopy(self.state)

    def tidy(self, *, foreign: bool) -> None:
        """There are no files."""


def autosave_every_step(states: StateFolder) -> Autosave:
    autosave = Autosave(states, 1e9, 1)
    # Without the limit on the time of saving, which would skip saves of so short a training.
    autosave._reschedule = lambda cost: vars(autosave).update(
        _earliest=0.0, _latest=math.inf, _last_save=autosave._count
    )
    autosave._reschedule(0)
    return autosave


def fit_until(
    config: Config, states: StateFolder, kill_after: int | None = None, **options: Any
) -> Outcome:
    """Fit, with a kill in the middle of the step after `kill_after` steps of this process."""
    trainer = build_dropout_trainer(config, **options)
    if kill_after is not None:
        update, steps = trainer._update, iter(range(kill_after))

        def update_or_die() -> None:
            if next(steps, None) is None:
                raise KeyboardInterrupt
            update()

        trainer._update = update_or_die
    epochs, monitor = options.get("epochs", 1), config.training.monitor
    return fit(trainer, epochs, monitor, autosave=autosave_every_step(states))


def test_trainer_has_the_seed_of_the_run(config):
    assert build_dropout_trainer(config, seed=5).seed == 5


@pytest.mark.parametrize(
    ("builder", "side"),
    [
        ("squeezenet1_1", 24),
        ("mobilenet_v2", 32),
        # Half a gigabyte of weights, saved and restored ten times: minutes.
        pytest.param("vgg11", 32, marks=pytest.mark.faults),
    ],
)
def test_dropout_network_killed_ten_times_ends_with_same_bytes(config, builder, side):
    network = {"builder": builder, "side": side}
    whole, states = fit_until(config, StatesInMemory(), **network), StatesInMemory()
    for kill in range(KILLS):
        torch.manual_seed(kill)  # a process that resumes has drawn other numbers
        with pytest.raises(KeyboardInterrupt):
            fit_until(config, states, kill_after=1, **network)
    assert states.state["tally"]["steps"] == KILLS
    resumed = fit_until(config, states, **network)
    assert resumed.history == whole.history
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, resumed.weights[name]), name


def test_finetuning_killed_ten_times_ends_with_same_bytes(config):
    recipe: dict[str, Any] = {
        "builder": "mobilenet_v2",
        "side": 32,
        "epochs": 2,
        "mixup": 0.2,
        "cutmix": 1.0,
        "augmentation": EVERY_AUGMENTATION,
        # Kills fall before and after the epoch from which the backbone is trained.
        "finetune": finetune(
            freeze="backbone", unfreeze_epoch=1, backbone_lr=0.1, layer_decay=0.7
        ),
    }
    whole, states = fit_until(config, StatesInMemory(), **recipe), StatesInMemory()
    for kill in range(KILLS):
        torch.manual_seed(kill)
        with pytest.raises(KeyboardInterrupt):
            fit_until(config, states, kill_after=2, **recipe)
    resumed = fit_until(config, states, **recipe)
    assert resumed.history == whole.history
    assert len({row["learning_rate"] for row in whole.history}) == 2
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, resumed.weights[name]), name


def test_frozen_backbone_is_no_part_of_the_optimizer(config):
    trainer = build_dropout_trainer(config, finetune=finetune(freeze="backbone"))
    assert [len(group["params"]) for group in trainer.optimizer.param_groups] == [1, 1]
    later = finetune(freeze="backbone", unfreeze_epoch=3)
    trainer = build_dropout_trainer(config, finetune=later)
    total = sum(len(group["params"]) for group in trainer.optimizer.param_groups)
    assert total == len(list(trainer.model.parameters()))
