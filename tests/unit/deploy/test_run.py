"""Networks of users that cannot be deployed, and why, in one line each."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from resomap.deploy import quantise
from resomap.deploy.run import RunImages, export_run
from tests.exported_networks import SIDE, build_convolutional, draw_images
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime")

IMAGES = draw_images(20)
RUN_IMAGES = RunImages(
    test=lambda: [IMAGES[:16], IMAGES[16:]],
    selection=lambda: [IMAGES[:8]],
    labels=np.arange(20) % 5,
    sources=[f"{number}.png" for number in range(20)],
    calibration=lambda: IMAGES,
    validation=lambda: IMAGES[:8],
)


class OwnNetwork(nn.Module):
    """A convolution and a classifier; what is between them is `transform`."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        return self.head(self.transform(self.conv(images)).mean((2, 3)))


class Branching(OwnNetwork):
    def transform(self, maps):
        return maps * 2 if maps.mean() > 0 else maps


class Looping(OwnNetwork):
    def transform(self, maps):
        return torch.stack([each.relu() for each in maps])


class Dropping(OwnNetwork):
    def transform(self, maps):
        return functional.dropout(maps, 0.5)


class NormalisingBatches(OwnNetwork):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)

    def transform(self, maps):
        return self.norm(maps)


class ScalingBatches(OwnNetwork):
    def transform(self, maps):
        return maps / maps.std()


class Sorting(OwnNetwork):
    def transform(self, maps):
        return maps.flatten(2).median(-1, keepdim=True).values[..., None]


class Sampling(OwnNetwork):
    """A resize whose antialias has no operator in ONNX."""

    def transform(self, maps):
        return functional.interpolate(maps, scale_factor=0.37, mode="bilinear", antialias=True)


class Deciding(OwnNetwork):
    """One that computes something else while it is exported."""

    def transform(self, maps):
        return maps * (2 if torch.compiler.is_exporting() else 1)


REASONS = {
    Branching: "branches on values of the images: use `torch.where`",
    Looping: "cannot be exported for any number of images",
    Dropping: "in PyTorch it gives another answer each time",
    NormalisingBatches: "norm: BatchNorm without the statistics of training",
    ScalingBatches: "its answer to an image depends on the other images of the batch",
    Sorting: "cannot be exported: ConversionError: Error when translating node %median",
    Sampling: "the exported network differs on 20 of 20 test images",
    Deciding: "the exported network differs on 20 of 20 test images",
}


@pytest.mark.parametrize("kind", REASONS, ids=lambda kind: kind.__name__)
def test_network_that_cannot_be_deployed_is_named_with_its_reason(kind):
    exported = export_run(kind().eval(), RUN_IMAGES, ("fp32", "int8"), SIDE, "mine at 16 px")
    assert exported.record["status"] == "not deployable"
    assert exported.networks == {"fp32": b"", "int8": b""}
    (failure,) = exported.failures
    first = failure.partition("\n")[0]
    assert first.startswith("mine at 16 px")
    assert REASONS[kind] in first


def refuse(*_, **__):
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as Missing

    raise Missing("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : no kernel for Gelu(20)\nmore")


def test_network_that_the_runtime_refuses_is_not_deployable(monkeypatch):
    monkeypatch.setattr("resomap.deploy.runtimes.onnxruntime_sessions.open_session", refuse)
    exported = export_run(build_convolutional(), RUN_IMAGES, ("fp32",), SIDE, "mine")
    assert exported.record["status"] == "not deployable"
    assert exported.failures == [
        "mine: ONNX Runtime cannot run it: "
        "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : no kernel for Gelu(20)"
    ]


def test_int8_that_the_runtime_refuses_leaves_fp32_deployable(monkeypatch):
    made = quantise.quantise_once

    def break_model(*arguments):
        model = made(*arguments)
        model.graph.node[0].op_type = "Unheard"
        return model

    monkeypatch.setattr(quantise, "quantise_once", break_model)
    exported = export_run(build_convolutional(), RUN_IMAGES, ("fp32", "int8"), SIDE, "mine")
    assert exported.record["status"] == "deployable"
    assert (exported.networks["fp32"] != b"", exported.networks["int8"]) == (True, b"")
    (failure,) = exported.failures
    assert failure.startswith("it cannot be quantised: ONNX Runtime cannot run it: ")


def test_error_of_reading_images_is_no_failure_of_the_network():
    def unreadable():
        yield IMAGES[:16]
        raise OSError(5, "Input/output error")

    images = RunImages(**{**vars(RUN_IMAGES), "test": unreadable})
    with pytest.raises(OSError, match="Input/output error"):
        export_run(build_convolutional(), images, ("fp32",), SIDE, "mine")


def test_openvino_is_only_run_where_it_is_configured():
    exported = export_run(build_convolutional(), RUN_IMAGES, ("fp32",), SIDE, "mine")
    assert exported.record["runtimes"] == {}
    assert exported.logits.keys() == {"label", "torch", "fp32"}
