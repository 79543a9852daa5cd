import mmap

import pytest
import torch
from torch import nn

from resomap.models import load_model_from_config
from resomap.profiling.memory import (
    LiveMemory,
    activation_bytes,
    growth_bytes,
    model_bytes,
    resident_growth_bytes,
)

torch.set_num_threads(1)
CPU = torch.device("cpu")
MIB = 2**20


class Hungry(nn.Module):
    """Maps and touches `mib` MiB in a forward pass, behind torch's back, and lets go of it."""

    def __init__(self, mib: int) -> None:
        super().__init__()
        self.mib = mib

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with mmap.mmap(-1, self.mib * MIB) as taken:
            for place in range(0, len(taken), mmap.PAGESIZE):
                taken[place] = 1
        return images.sum()


@pytest.mark.parametrize("mib", [64, 200])
def test_a_planted_allocation_is_found_within_five_percent(mib):
    model, pictures = Hungry(mib), torch.zeros(1, 3, 8, 8)
    growth, reserved = growth_bytes(lambda: model(pictures), CPU)
    assert growth / MIB == pytest.approx(mib, rel=0.05)
    assert reserved is None


def test_memory_that_this_process_has_freed_and_kept_hides_nothing():
    block = bytearray(100 * MIB)
    del block
    assert resident_growth_bytes(lambda: bytearray(50 * MIB)) / MIB == pytest.approx(
        50, rel=0.05
    )


def test_a_pass_of_a_network_takes_its_activations_and_not_much_more():
    model, pictures = (
        load_model_from_config("tiny_cnn", num_classes=8).eval(),
        torch.randn(16, 3, 96, 96),
    )
    with torch.inference_mode():
        growth, _ = growth_bytes(lambda: model(pictures), CPU)
    activations = activation_bytes(model, pictures)
    assert activations <= growth < 2 * activations


def test_a_process_that_dies_while_it_measures_is_told():
    with pytest.raises(
        RuntimeError, match="a process that measured memory ended with status 1"
    ):
        resident_growth_bytes(lambda: 1 / 0)


def test_weights_are_counted_in_their_own_type():
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False).to(torch.bfloat16), nn.BatchNorm2d(4))
    assert model_bytes(model) == 12 * 2 + 4 * 4 * 4 + 8


def test_the_peak_is_where_input_and_output_of_the_widest_layer_are_alive():
    model, pictures = (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 1, 1), nn.ReLU()),
        torch.zeros(2, 3, 8, 8),
    )
    assert activation_bytes(model, pictures) == 2 * (2 * 4 * 8 * 8 * 4)


def test_an_activation_that_works_in_place_takes_no_memory():
    model, pictures = (
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)),
        torch.zeros(2, 3, 8, 8),
    )
    assert activation_bytes(model, pictures) == 2 * 4 * 8 * 8 * 4


def test_a_training_pass_keeps_what_its_backward_needs():
    model, pictures = (
        nn.Sequential(
            nn.Conv2d(3, 4, 1, bias=False), nn.ReLU(), nn.Conv2d(4, 4, 1, bias=False), nn.ReLU()
        ),
        torch.zeros(2, 3, 8, 8),
    )
    layer = 2 * 4 * 8 * 8 * 4
    assert (
        activation_bytes(model, pictures, training=True)
        >= 3 * layer
        > activation_bytes(model, pictures)
        == 2 * layer
    )


@pytest.mark.parametrize("name", ["tiny_cnn", "mobilenet_v3_small"])
def test_the_meta_device_tells_what_the_cpu_does(name: str):
    model, pictures = (
        load_model_from_config(name, num_classes=8).eval(),
        torch.randn(2, 3, 64, 64),
    )
    with (
        torch.inference_mode(),
        LiveMemory(apart_from=[*model.parameters(), *model.buffers(), pictures]) as memory,
    ):
        logits = model(pictures)
    assert memory.live == logits.nbytes
    assert activation_bytes(model, pictures) == memory.peak


def test_activations_grow_with_the_batch():
    model = load_model_from_config("tiny_cnn", num_classes=8)
    peaks = [activation_bytes(model, torch.zeros(count, 3, 32, 32)) for count in (1, 2, 3)]
    assert peaks[2] - peaks[1] == peaks[1] - peaks[0] > 0
