import math
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import GoogLeNet_Weights, ResNet18_Weights, googlenet, resnet18

from resomap.config.schema import Architecture, Config, Runtime
from resomap.errors import ConfigError, ResoMapError
from resomap.models.registry import build_model, load_architectures
from resomap.training.autosave import Autosave
from resomap.training.build import (
    build_loaders,
    build_trainer,
    class_weights,
    load_initial_weights,
)
from resomap.training.checkpoint import save_weights
from resomap.training.distributed import Group
from resomap.training.fit import Outcome, fit
from resomap.training.states import StateFolder
from resomap.training.steps import build_noise_store
from resomap.training.trainer import Trainer

ARCHITECTURES = load_architectures()


def build(name: str, num_classes: int = 4, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(ARCHITECTURES[name], num_classes)


def load(name: str, start: str | Path, num_classes: int = 4) -> nn.Module:
    model = build(name, num_classes)
    load_initial_weights(model, ARCHITECTURES[name], str(start))
    return model


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "best.safetensors"


def test_random_start_keeps_weights():
    loaded, random = load("tiny_cnn", "random"), build("tiny_cnn")
    assert all(map(torch.equal, loaded.parameters(), random.parameters()))


@pytest.mark.parametrize("classes", [4, 7])
def test_file_start_loads_all_but_other_head(path, classes):
    stored, random = build("tiny_cnn", seed=9).state_dict(), build("tiny_cnn", classes)
    save_weights(path, stored, {"status": "ok"})
    for name, tensor in load("tiny_cnn", path, classes).state_dict().items():
        fits = stored[name].shape == tensor.shape
        assert torch.equal(tensor, stored[name] if fits else random.state_dict()[name])


def test_pretrained_start_reads_torch_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = resnet18().state_dict()
    path = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.save(published, path)
    model = load("resnet18", "pretrained", 5)
    assert torch.equal(model.layer4[1].conv2.weight, published["layer4.1.conv2.weight"])
    assert model.fc.weight.shape == (5, 512)


def test_pretrained_start_leaves_auxiliary_heads_out(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    published = googlenet(aux_logits=True, init_weights=False).state_dict()
    path = tmp_path / "hub" / "checkpoints" / Path(GoogLeNet_Weights.DEFAULT.url).name
    path.parent.mkdir(parents=True)
    torch.save(published, path)
    entry = Architecture(name="g", family="other", builder="googlenet", min_resolution=15)
    model = build_model(entry, 5)
    load_initial_weights(model, entry, "pretrained")
    assert torch.equal(model.conv1.conv.weight, published["conv1.conv.weight"])


def test_weights_of_other_network_are_refused(path):
    save_weights(path, build("simple_cnn").state_dict(), {"status": "ok"})
    message = r"training\.start: .*best.safetensors does not fit tiny_cnn: .* differs"
    with pytest.raises(ConfigError, match=message):
        load("tiny_cnn", path)


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_unreadable_start_is_named(path, content):
    if content:
        path.write_bytes(content)
    with pytest.raises(
        ResoMapError, match=r"training\.start: .*best.safetensors cannot be read"
    ):
        load("tiny_cnn", path)


def test_diverged_training_is_no_start(path):
    save_weights(path, {}, {"status": "diverged"})
    with pytest.raises(ConfigError, match=r"no weights: .* diverged"):
        load("tiny_cnn", path)


def test_custom_network_has_no_pretrained_weights():
    with pytest.raises(ConfigError, match="no weights for tiny_cnn"):
        load("tiny_cnn", "pretrained")


def test_class_weights_equal_sklearn_balanced():
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    torch.testing.assert_close(class_weights(labels, 3), torch.from_numpy(expected).float())


CPU = torch.device("cpu")
DROPOUT_NETWORK = "squeezenet1_1"
KILLS = 10


def build_dropout_trainer(
    config: Config, seed: int = 3, builder: str = DROPOUT_NETWORK, side: int = 24
) -> Trainer:
    entry = Architecture(name="dropout", family="other", builder=builder, min_resolution=17)
    recipe = config.training.model_copy(update={"batch_size": 4, "epochs": 1})
    store = build_noise_store(batch_size=4, resolution=side, classes=3)
    store = replace(store, counts={"train": 48, "val": 8})
    runtime: Runtime = config.system.training
    loaders = build_loaders(recipe, store, side, seed, runtime, Group(), CPU)
    return build_trainer(recipe, entry, seed, store, *loaders, CPU, Group())


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
    return fit(trainer, 1, config.training.monitor, autosave=autosave_every_step(states))


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
