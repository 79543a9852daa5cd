import pytest
import torch
from torch import nn

from resomap.models import load_model_from_config
from resomap.profiling.memory import LiveMemory, model_bytes, peak_memory_bytes

torch.set_num_threads(1)


def test_weights_are_counted_in_their_own_type():
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False).to(torch.bfloat16), nn.BatchNorm2d(4))
    assert model_bytes(model) == 12 * 2 + 4 * 4 * 4 + 8


def test_the_peak_is_where_input_and_output_of_the_widest_layer_are_alive():
    model, pictures = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 1, 1), nn.ReLU()), torch.zeros(2, 3, 8, 8)
    wide = 2 * 4 * 8 * 8 * 4
    assert peak_memory_bytes(model, pictures) == model_bytes(model) + pictures.nbytes + 2 * wide


def test_an_activation_that_works_in_place_takes_no_memory():
    model, pictures = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)), torch.zeros(2, 3, 8, 8)
    assert peak_memory_bytes(model, pictures) == model_bytes(model) + pictures.nbytes + 2 * 4 * 8 * 8 * 4


@pytest.mark.parametrize("name", ["tiny_cnn", "mobilenet_v3_small"])
def test_the_meta_device_tells_what_the_cpu_does(name: str):
    model, pictures = load_model_from_config(name, num_classes=8).eval(), torch.randn(2, 3, 64, 64)
    with torch.inference_mode(), LiveMemory(apart_from=[*model.parameters(), *model.buffers(), pictures]) as memory:
        logits = model(pictures)
    assert memory.live == logits.nbytes
    assert peak_memory_bytes(model, pictures) == model_bytes(model) + pictures.nbytes + memory.peak


def test_activations_grow_with_the_batch():
    model = load_model_from_config("tiny_cnn", num_classes=8)
    peaks = [peak_memory_bytes(model, torch.zeros(count, 3, 32, 32)) for count in (1, 2, 3)]
    assert peaks[2] - peaks[1] == peaks[1] - peaks[0] > 0
