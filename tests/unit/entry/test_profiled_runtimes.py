import sys

import pytest
import torch
from torch import Tensor, nn

from resomap.config import deploy
from resomap.entry.profiled_runtimes import describe_runtimes, open_runtimes
from resomap.errors import ConfigError
from resomap.profiling.profile import profile_model
from tests.exported_networks import SIDE, build_convolutional
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime", "openvino")

VARIANTS = ("onnxruntime", "eager", "onnxruntime-int8", "openvino", "openvino-int8")


@pytest.fixture
def profiling(config):
    timing = {"warmup_seconds": 1e-3, "rounds": 5, "round_seconds": 1e-3, "max_seconds": 0.01}
    return config.system.profiling.model_copy(
        update={**timing, "batch_size": 4, "variants": VARIANTS}
    )


def profile(model: nn.Module, profiling):
    with open_runtimes(profiling, "small") as build:
        device = torch.device("cpu")
        return profile_model({SIDE: model}, profiling, device, "fp32", build)["cells"]


def test_export_is_measured_in_every_runtime_and_precision(profiling):
    cells = profile(build_convolutional(), profiling)
    assert {cell["status"] for cell in cells} == {"ok"}
    assert [(cell["variant"], cell["precision"]) for cell in cells[::2]] == [
        ("onnxruntime", "fp32"),
        ("eager", "fp32"),
        ("onnxruntime", "int8"),
        ("openvino", "fp32"),
        ("openvino", "int8"),
    ]
    for cell in cells:
        assert cell["latency_ms_p50"] > 0
        assert cell["peak_memory_mib"] > 0
    sizes = {
        cell["precision"]: cell["model_size_mib"]
        for cell in cells
        if cell["variant"] == "openvino"
    }
    assert all(size > 0 for size in sizes.values())


class Untraceable(nn.Module):
    """Network whose head depends on the values of its images."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 5)

    def forward(self, images: Tensor) -> Tensor:
        means = images.mean((2, 3))
        return self.head(means) if images.is_meta or images.sum() > 0 else means


def test_network_without_export_is_unsupported_with_the_reason(profiling):
    cells = profile(Untraceable(), profiling)
    status = {cell["variant"]: cell["status"] for cell in cells}
    assert status == {"eager": "ok", "onnxruntime": "unsupported", "openvino": "unsupported"}
    reasons = {cell["why_invalid"] for cell in cells if cell["status"] == "unsupported"}
    assert len(reasons) == 1
    assert reasons.pop().startswith("small cannot be exported: ")


def test_missing_package_is_named_before_anything_is_measured(profiling, monkeypatch):
    monkeypatch.setattr(deploy, "find_spec", lambda name: None if name == "onnx" else 1)
    with (
        pytest.raises(ConfigError, match=r"system\.profiling\.variants: onnx is not installed"),
        open_runtimes(profiling, "small"),
    ):
        raise AssertionError("it was opened")


def test_profile_without_runtime_imports_and_records_none(config, monkeypatch):
    for name in ("onnx", "onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(deploy, "find_spec", lambda _: None)
    with open_runtimes(config.system.profiling, "small"):
        assert describe_runtimes(config.system.profiling) == {}


def test_record_has_versions_and_settings_of_its_runtimes_only(profiling):
    only = profiling.model_copy(update={"variants": ("eager", "openvino"), "cpu_threads": 2})
    record = describe_runtimes(only)["runtimes"]
    assert list(record) == ["export", "openvino"]
    assert record["openvino"]["INFERENCE_NUM_THREADS"] == 2
    assert record["export"]["onnx"]
