from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from resomap.config.schema import Architecture, Config, Runtime
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

ARCHITECTURES = load_architectures()


def build(name: str, num_classes: int = 4, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(ARCHITECTURES[name], num_classes)


def test_class_weights_equal_sklearn_balanced():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    torch.testing.assert_close(class_weights(labels, 3), torch.from_numpy(expected).float())


DROPOUT_NETWORK = Architecture(
    name="with_dropout", family="other", builder="squeezenet1_1", min_resolution=17
)
CPU = torch.device("cpu")


def build_dropout_trainer(config: Config, seed: int = 3) -> Trainer:
    recipe = config.training.model_copy(update={"batch_size": 4, "epochs": 1})
    store = build_noise_store(batch_size=4, resolution=24, classes=3)
    runtime: Runtime = config.system.training
    loaders = build_loaders(recipe, store, 24, seed, runtime, Group(), CPU)
    return build_trainer(recipe, DROPOUT_NETWORK, seed, store, *loaders, CPU, Group())


def fit_with_states(config: Config, folder: Path, kill_after: int | None = None) -> Outcome:
    trainer = build_dropout_trainer(config)
    autosave = Autosave(StateFolder(folder, "this training"), 1e9, 3)
    if kill_after is not None:
        update, steps = trainer._update, 0

        def update_or_die() -> None:
            nonlocal steps
            steps += 1
            if steps > kill_after:
                raise KeyboardInterrupt
            update()

        trainer._update = update_or_die
    return fit(trainer, 1, config.training.monitor, autosave=autosave)


def test_trainer_has_the_seed_of_the_run(config):
    assert build_dropout_trainer(config, seed=5).seed == 5


def test_killed_network_with_dropout_resumes_to_same_bytes(config, tmp_path):
    whole = fit_with_states(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit_with_states(config, tmp_path / "killed", kill_after=7)
    torch.manual_seed(99)
    resumed = fit_with_states(config, tmp_path / "killed")
    assert resumed.history == whole.history
    for name, tensor in whole.weights.items():
        assert torch.equal(tensor, resumed.weights[name]), name
