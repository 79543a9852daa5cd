import pickle
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from resomap.errors import ResoMapError
from resomap.models.weight_files import read_weight_file

TENSORS = {"stem.weight": torch.ones(2, 3), "head.bias": torch.zeros(2)}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "weights.pth"


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return list(first) == list(second) and all(
        map(torch.equal, first.values(), second.values())
    )


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"epoch": 3, "state_dict": TENSORS},
        {"model": {"state_dict": TENSORS}, "optimizer": {"lr": 0.1}},
        {"net": {**TENSORS, "version": 2}},
    ],
)
def test_state_dict_is_found_in_checkpoint(path, content):
    torch.save(content, path)
    assert same(read_weight_file(path).tensors, TENSORS)


def test_average_is_taken_and_its_keys_are_named(path):
    average = {name: value + 1 for name, value in TENSORS.items()}
    torch.save({"model": TENSORS, "model_ema": {"state_dict": average}}, path)
    found = read_weight_file(path)
    assert same(found.tensors, average)
    assert found.keys == ("model_ema", "state_dict")


def test_safetensors_are_read_under_any_name(path):
    save_file(TENSORS, path)
    assert same(read_weight_file(path).tensors, dict(sorted(TENSORS.items())))


def test_names_are_changed_by_each_rule_in_turn(path):
    torch.save(TENSORS, path)
    rules = ((r"^(\w+)\.weight$", r"\1.w"), (r"^stem", "conv"), (r"^conv\.w$", "first"))
    assert list(read_weight_file(path, rules).tensors) == ["first", "head.bias"]


def test_two_tensors_of_one_name_are_refused(path):
    torch.save(TENSORS, path)
    with pytest.raises(
        ResoMapError, match=r"rename: stem\.weight and head\.bias both become 'x'"
    ):
        read_weight_file(path, ((".*\\..*", "x"),))


def test_rule_that_matches_nothing_is_refused(path):
    torch.save(TENSORS, path)
    rules = ((r"^stem", "conv"), (r"^stem\.", "x."), (r"^conv", "y"))
    with pytest.raises(ResoMapError) as caught:
        read_weight_file(path, rules)
    assert str(caught.value) == (
        r"config/training.yaml: training.start.rename: '^stem\\.' matches no tensor of the file, "
        "such as stem.weight, head.bias"
    )


BROKEN = {"stem.weight": torch.tensor([1.0, float("nan")])}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no tensors"),
        ([1, 2], "holds a list, not a state dict"),
        ({"epoch": 3, "lr": 0.1}, "holds no state dict: its keys are epoch, lr"),
        (BROKEN, r"stem\.weight has values that are not finite"),
        (
            {"model": TENSORS, "args": Namespace(a=1)},
            r"holds argparse\.Namespace beside tensors",
        ),
        ({"model": torch.nn.Linear(1, 1)}, r"holds torch\.nn\.modules\.linear\.Linear beside"),
    ],
)
def test_other_content_is_refused_in_one_line(path, content, message):
    torch.save(content, path)
    with pytest.raises(ResoMapError, match=message) as caught:
        read_weight_file(path)
    assert str(caught.value).startswith(f"config/training.yaml: training.start: {path}")
    assert "\n" not in str(caught.value)


NEITHER = "it is no safetensors and no file of torch.save"
TORN = "it is damaged or incomplete: fetch it again"
PICKLES = {
    b"": "it is empty",
    b"text": NEITHER,
    b"hello world\nand more\n": NEITHER,
    b"<html>Not found</html>": NEITHER,
    b"PK\x03\x04 torn archive": TORN,
    b"\x80\x02}q\x00": NEITHER,
    pickle.dumps({"a": 1}): NEITHER,
    b"\x08\0\0\0\0\0\0\0{}": TORN,
    b"\xff\0\0\0\0\0\0\0{}": TORN,
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
@pytest.mark.parametrize(("content", "reason"), PICKLES.items())
def test_file_that_is_none_is_refused_in_one_line(path, suffix, content, reason):
    file = path.with_suffix(suffix)
    file.write_bytes(content)
    with pytest.raises(ResoMapError) as caught:
        read_weight_file(file)
    assert str(caught.value) == (
        f"config/training.yaml: training.start: {file} cannot be read as weights: {reason}"
    )


def test_torn_file_is_refused_in_one_line(path):
    for write in (torch.save, save_file):
        write({"a": torch.randn(1000)}, path)
        path.write_bytes(path.read_bytes()[:2000])
        with pytest.raises(ResoMapError) as caught:
            read_weight_file(path)
        assert str(caught.value).endswith(f"cannot be read as weights: {TORN}")


def test_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(ResoMapError, match="cannot be read as weights: it is a folder"):
        read_weight_file(tmp_path)
