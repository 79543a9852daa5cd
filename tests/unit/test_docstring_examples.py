"""The examples in the docstrings of the library run as they stand."""

import doctest
from typing import Any

import pytest
import torch
from torch import nn

from resomap import models, training
from resomap.models.custom import SimpleCNN
from resomap.training.checkpoint import load_optimizer_state, save_optimizer_state
from tests.tiny_training import build_network, noise_batches

SUBJECTS = [
    training,
    SimpleCNN,
    load_optimizer_state,
    *(getattr(package, name) for package in (models, training) for name in package.__all__),
]


@pytest.fixture
def names(tmp_path, monkeypatch) -> dict[str, Any]:
    """The variables that the examples use."""
    monkeypatch.chdir(tmp_path)
    model = build_network()
    optimizer = torch.optim.AdamW(model.parameters())
    save_optimizer_state(tmp_path / "optimizer.safetensors", optimizer.state_dict())

    def train_one_epoch() -> None:
        optimizer.step()

    return {
        **vars(models),
        **vars(training),
        "torch": torch,
        "nn": nn,
        "device": torch.device("cpu"),
        "model": model,
        "optimizer": optimizer,
        "train_one_epoch": train_one_epoch,
        "train_loader": noise_batches(16, 8),
        "val_loader": noise_batches(8, 8),
        "epoch": 7,
        "metrics": {"val_accuracy": 0.9},
        "path": tmp_path / "optimizer.safetensors",
    }


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.__name__)
def test_docstring_example_runs(subject, names):
    (example,) = doctest.DocTestFinder(recurse=False).find(subject, extraglobs=names)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0
