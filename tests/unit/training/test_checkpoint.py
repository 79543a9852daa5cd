import json
import os
import struct

import pytest
import torch
from torch import nn

from resomap.training.checkpoint import (
    load_optimizer_state,
    load_weights,
    save_optimizer_state,
    save_weights,
)

METADATA = {"status": "ok", "resolution": 24, "model": "tiny_cnn"}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return model.to(memory_format=torch.channels_last).state_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "best.safetensors"


def test_weights_and_metadata_round_trip(path, weights):
    save_weights(path, weights, METADATA)
    loaded, metadata = load_weights(path)
    assert metadata == METADATA
    assert set(loaded) == set(weights)
    for name, tensor in weights.items():
        assert torch.equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype


def test_equal_weights_give_equal_bytes(path, weights):
    save_weights(path, weights, METADATA)
    first = path.read_bytes()
    reverse = dict(reversed(weights.items())), dict(reversed(METADATA.items()))
    save_weights(path, *reverse)
    assert path.read_bytes() == first


def test_run_without_result_keeps_status_only(path):
    save_weights(path, {}, {"status": "diverged"})
    assert load_weights(path) == ({}, {"status": "diverged"})


def test_weight_file_is_header_and_numbers_only(path, weights):
    save_weights(path, weights, METADATA)
    stored = path.read_bytes()
    (length,) = struct.unpack("<Q", stored[:8])
    header = json.loads(stored[8 : 8 + length])
    assert header.pop("__metadata__") == {"resomap": json.dumps(METADATA, sort_keys=True)}
    end = max(entry["data_offsets"][1] for entry in header.values())
    assert len(stored) == 8 + length + end


def test_weight_file_has_default_permissions(path, weights):
    before = os.umask(0o022)
    try:
        save_weights(path, weights, METADATA)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


OPTIMIZERS = {
    "adamw": torch.optim.AdamW,
    "momentum": lambda parameters, lr: torch.optim.SGD(parameters, lr, momentum=0.9),
    "sgd": torch.optim.SGD,
}


@pytest.mark.parametrize("build", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizer_state_round_trips(path, build):
    model = nn.Linear(2, 2)
    optimizer, other = build(model.parameters(), lr=0.1), build(model.parameters(), lr=0.2)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_optimizer_state(path, optimizer.state_dict())
    other.load_state_dict(load_optimizer_state(path))
    assert other.param_groups[0]["lr"] == 0.1
    saved, loaded = optimizer.state_dict()["state"], other.state_dict()["state"]
    torch.testing.assert_close(loaded, saved, rtol=0, atol=0)
