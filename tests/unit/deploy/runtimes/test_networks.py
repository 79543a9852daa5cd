import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resomap.deploy.export import ExportError
from resomap.deploy.runtimes import networks
from resomap.deploy.runtimes.networks import RuntimeNetworks
from tests.exported_networks import SIDE, build_convolutional, draw_images
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime", "openvino")


@pytest.fixture
def counted(monkeypatch):
    """The resolutions of the exports that were made."""
    made, export = list[int](), networks.export_network

    def count(network, resolution, name):
        made.append(resolution)
        return export(network, resolution, name)

    monkeypatch.setattr(networks, "export_network", count)
    return made


def test_each_network_is_exported_once_a_resolution(tmp_path, counted):
    network, made = build_convolutional(), RuntimeNetworks(tmp_path, "small", 1)
    opened = [
        made.open(network, runtime, precision, draw_images(count))
        for runtime in ("onnxruntime", "openvino")
        for precision in ("fp32", "int8")
        for count in (1, 4)
    ]
    assert counted == [SIDE]
    assert [each.run().shape for each in opened] == [(1, 5), (4, 5)] * 4
    sizes = [each.file_bytes for each in opened]
    assert sizes == [sizes[0]] * 2 + [sizes[2]] * 2 + [sizes[0]] * 2 + [sizes[2]] * 2
    assert all(min(each.peaks) > 0 for each in opened)
    assert len(list(tmp_path.iterdir())) == 2


class Untraceable(nn.Module):
    """Network whose depth depends on the values of its images."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) if images.sum() > 0 else images.amax((2, 3))


def test_failed_export_is_not_tried_again(tmp_path, counted):
    network, made = Untraceable(), RuntimeNetworks(tmp_path, "odd", 1)
    for precision in ("fp32", "int8", "fp32"):
        with pytest.raises(ExportError, match="odd cannot be exported"):
            made.open(network, "onnxruntime", precision, draw_images(1))
    assert counted == [SIDE]


def test_network_larger_than_the_free_memory_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "available_bytes", lambda: 1000)
    monkeypatch.setattr(networks, "load_network", None)
    with pytest.raises(MemoryError):
        RuntimeNetworks(tmp_path, "small", 1).open(
            build_convolutional(), "onnxruntime", "fp32", draw_images(1)
        )


def test_sizes_of_a_network_are_separate_exports(tmp_path, counted):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    made = RuntimeNetworks(tmp_path, "small", 1)
    for side in (8, 12):
        images = np.zeros((1, 3, side, side), np.float32)
        assert made.open(network, "onnxruntime", "fp32", images).run().shape == (1, 4)
    assert counted == [8, 12]
