import contextlib
import functools
from unittest.mock import MagicMock

import pytest
import torch
import torch._dynamo
from torch import nn

from resomap.models.custom import SimpleCNN
from resomap.profiling import variants
from resomap.profiling.variants import (
    UnsupportedError,
    Variant,
    build_workload,
    parse_variant,
    prepare_model,
)

torch.set_num_threads(1)
CPU = torch.device("cpu")


@pytest.fixture
def model() -> nn.Module:
    return SimpleCNN(3, channels=[2, 4])


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("eager-tf32", Variant("eager", "tf32", "channels_last")),
        ("eager", Variant("eager", "bf16", "channels_last")),
        ("compiled-fp16", Variant("compiled", "fp16", "channels_last")),
        ("eager-fp32-contiguous", Variant("eager", "fp32", "contiguous")),
        ("training_step-contiguous", Variant("training_step", "bf16", "contiguous")),
        # Whatever PyTorch trains in, and in whatever format.
        ("onnxruntime", Variant("onnxruntime", "fp32", "contiguous")),
        ("openvino-int8", Variant("openvino", "int8", "contiguous")),
    ],
)
def test_variant_name_falls_back_to_defaults(name, variant):
    assert parse_variant(name, "bf16", "channels_last") == variant


class RecordingCNN(SimpleCNN):
    """Model that records dtype, layout and modes of its last call."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        self.seen = images.dtype, channels_last, torch.is_grad_enabled(), self.training
        return super().forward(images)


@pytest.mark.parametrize(
    ("variant", "seen"),
    [
        (Variant("eager", "fp32", "channels_last"), (torch.float32, True, False, False)),
        (Variant("eager", "bf16", "contiguous"), (torch.bfloat16, False, False, False)),
        (Variant("training_step", "fp32", "channels_last"), (torch.float32, True, True, True)),
    ],
)
def test_model_is_called_as_the_variant_specifies(variant, seen):
    model = RecordingCNN(3, channels=[2, 4])
    prepared = prepare_model(model, variant, CPU)
    build_workload(prepared, variant, torch.randn(2, 3, 8, 8)).run()
    assert prepared.seen == seen
    assert not hasattr(model, "seen")


def test_training_step_changes_weights_of_its_copy_only(model: nn.Module):
    before = [parameter.clone() for parameter in model.parameters()]
    variant = Variant("training_step", "fp32", "channels_last")
    prepared = prepare_model(model, variant, CPU)
    workload = build_workload(prepared, variant, torch.randn(4, 3, 8, 8))
    workload.run()
    assert all(map(torch.equal, before, model.parameters()))
    assert not all(map(torch.equal, before, prepared.parameters()))
    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert workload.held_bytes() > 4 * weights  # with gradients and both moments


def test_cuda_graph_without_gpu_is_unsupported(model: nn.Module):
    variant = Variant("cuda_graph", "fp32", "channels_last")
    with pytest.raises(UnsupportedError, match="need a CUDA device"):
        build_workload(model, variant, torch.randn(1, 3, 8, 8))


def test_tf32_without_gpu_is_unsupported(model: nn.Module):
    for mode in ("eager", "training_step"):
        variant = Variant(mode, "tf32", "channels_last")
        with pytest.raises(UnsupportedError, match="NVIDIA GPUs only"):
            build_workload(model, variant, torch.randn(1, 3, 8, 8))


def test_runtimes_stay_on_the_cpu_beside_a_gpu():
    gpu = torch.device("cuda")
    assert parse_variant("openvino", "fp32", "channels_last").device(gpu) == CPU
    assert parse_variant("eager", "fp32", "channels_last").device(gpu) == gpu


def test_runtimes_exclude_other_variants_and_are_named_once():
    names = ("eager", "openvino-int8", "openvino", "onnxruntime-int8")
    assert variants.runtimes_of(names) == ["onnxruntime", "openvino"]
    assert variants.runtimes_of(("eager", "training_step")) == []


@pytest.fixture
def restored_limits():
    """Restore the limits of torch.compile, and forget what it has compiled."""
    config = torch._dynamo.config
    names = ("recompile_limit", "accumulated_recompile_limit", "fail_on_recompile_limit_hit")
    before = {name: getattr(config, name) for name in names}
    yield
    for name, value in before.items():
        setattr(config, name, value)
    torch._dynamo.reset()


def test_every_compiled_cell_is_compiled(monkeypatch, model: nn.Module, restored_limits):
    compiled, called = [], []

    def backend(graph, _inputs):
        compiled.append(graph)

        def run(*arguments):
            called.append(1)
            return graph(*arguments)

        return run

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    variant = Variant("compiled", "fp32", "channels_last")
    prepared = prepare_model(model, variant, CPU)
    # More cells than dynamo compiles of one code by default, at which it falls back to eager.
    workloads = [
        build_workload(prepared, variant, torch.randn(size, 3, 8, 8)) for size in range(1, 13)
    ]
    assert len(compiled) == 12
    called.clear()
    for workload in workloads:
        workload.run()
    assert (len(called), len(compiled)) == (12, 12)


class FakeGraph:
    """Stands for a CUDA graph whose capture allocates memory."""

    def replay(self) -> None:
        """Allocate nothing."""


def test_memory_of_a_capture_is_measured_around_it(monkeypatch):
    events = []
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "Stream", MagicMock())
    monkeypatch.setattr(cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(cuda, "current_stream", MagicMock())
    monkeypatch.setattr(cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(cuda, "graph", lambda _: contextlib.nullcontext())
    for name, value in {
        "synchronize": None,
        "empty_cache": None,
        "reset_peak_memory_stats": None,
        "memory_allocated": 10,
        "memory_reserved": 20,
        "max_memory_allocated": 40,
        "max_memory_reserved": 70,
    }.items():
        monkeypatch.setattr(cuda, name, recorder(events, name, value))
    replay, captured = variants._capture(recorder(events, "run", None), torch.device("cuda"))
    assert captured == (30, 50)
    assert replay.__name__ == "replay"
    capture = events[events.index("empty_cache") :]
    assert events[:3] == ["run"] * 3
    assert capture.index("memory_reserved") < capture.index("reset_peak_memory_stats")
    assert capture.index("reset_peak_memory_stats") < capture.index("run")
    assert capture.index("run") < capture.index("max_memory_reserved")
    assert capture.count("run") == 1


def recorder(events: list[str], name: str, value: object):
    """Return a function that records its calls and returns `value`."""

    def call(*_arguments: object) -> object:
        events.append(name)
        return value

    return call
