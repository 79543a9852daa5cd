import json
import os
import struct

import pytest
import torch
from torch import nn

from resomap.training.checkpoint import load_weights, save_weights

ABOUT = {"status": "ok", "resolution": 24, "model": "tiny_cnn"}


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(
        memory_format=torch.channels_last
    )
    return model.state_dict()


def test_weights_and_what_is_said_of_them_come_back(tmp_path, weights):
    save_weights(tmp_path / "best.safetensors", weights, ABOUT)
    back, about = load_weights(tmp_path / "best.safetensors")
    assert about == ABOUT
    assert set(back) == set(weights)
    for name, tensor in weights.items():
        assert torch.equal(back[name], tensor)
        assert back[name].dtype == tensor.dtype


def test_equal_weights_make_equal_files(tmp_path, weights):
    save_weights(tmp_path / "one.safetensors", weights, ABOUT)
    save_weights(
        tmp_path / "two.safetensors",
        dict(reversed(weights.items())),
        dict(reversed(ABOUT.items())),
    )
    assert (tmp_path / "one.safetensors").read_bytes() == (
        tmp_path / "two.safetensors"
    ).read_bytes()


def test_a_run_without_a_result_has_no_weights_and_says_why(tmp_path):
    save_weights(tmp_path / "best.safetensors", {}, {"status": "diverged"})
    assert load_weights(tmp_path / "best.safetensors") == ({}, {"status": "diverged"})


def test_a_file_of_weights_is_a_header_and_numbers_and_nothing_that_runs(tmp_path, weights):
    save_weights(tmp_path / "best.safetensors", weights, ABOUT)
    stored = (tmp_path / "best.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", stored[:8])
    header = json.loads(stored[8 : 8 + length])
    assert header.pop("__metadata__") == {"resomap": json.dumps(ABOUT, sort_keys=True)}
    assert len(stored) == 8 + length + max(
        entry["data_offsets"][1] for entry in header.values()
    )


def test_weights_are_as_readable_as_any_other_file(tmp_path, weights):
    before = os.umask(0o022)
    try:
        save_weights(tmp_path / "best.safetensors", weights, ABOUT)
    finally:
        os.umask(before)
    assert (tmp_path / "best.safetensors").stat().st_mode & 0o777 == 0o644
