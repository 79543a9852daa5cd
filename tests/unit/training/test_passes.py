from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resomap.errors import DeviceError, ResoMapError
from resomap.system import precision as system_precision
from resomap.system.determinism import explaining_missing_kernels
from resomap.training import passes
from resomap.training.passes import Body, autocast, build_scaler
from resomap.training.trainer import Trainer
from tests.tiny_training import LimitedMemory, build_network, build_noise_trainer

CPU = torch.device("cpu")
CRITERIA = {
    "plain": nn.CrossEntropyLoss(),
    "weighted": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.5])),
}
# 22 images in batches of 8: the rest of 6 has a shape of its own.
OPTIONS: dict[str, dict[str, Any]] = {
    "whole batches": {},
    "micro-batches": {"micro_batch": 3},
    "accumulation": {"batch_size": 4, "gradient_accumulation_steps": 2},
    "clipping and average": {"gradient_clip_norm": 0.1, "ema_decay": 0.9},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
}


class Repeating:
    """A capture on the CPU: what is recorded is done again, into the same outputs."""

    warm_up_passes = 3

    def __init__(self, device: torch.device) -> None:
        self.recorded = 0

    def warm_up(self, body: Body) -> None:
        """Run the body, as libraries need it."""
        for _ in range(self.warm_up_passes):
            body()

    def record(self, body: Body) -> tuple[Callable[[], None], tuple[Tensor, Tensor]]:
        """Return a function that repeats the body."""
        self.recorded += 1
        outputs = body()

        def replay() -> None:
            for output, value in zip(outputs, body(), strict=True):
                output.copy_(value)

        return replay, outputs

    def get_rng_state(self) -> Tensor:
        """Return the state of the generator of the CPU."""
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor) -> None:
        """Restore it."""
        torch.set_rng_state(state)


class Unused(nn.Module):
    """A network beside a weight that its forward pass does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.unused = build_layers(), nn.Parameter(torch.ones(3, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.network(images)


def build_layers() -> nn.Sequential:
    torch.manual_seed(0)
    convolution = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.4))
    return nn.Sequential(*convolution, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def trained(execution: str, **options: Any) -> Trainer:
    trainer = build_noise_trainer(Unused(), seed=3, execution=execution, **options)
    for epoch in range(2):
        trainer.train_epoch(epoch)
    return trainer


def assert_equal_training(first: Trainer, second: Trainer) -> None:
    states = first.state_dict(), second.state_dict()
    for name, tensor in states[0]["model"].items():
        assert torch.equal(tensor, states[1]["model"][name]), name
    assert first.validate() == second.validate()


@pytest.fixture
def graphs_on_cpu(monkeypatch):
    monkeypatch.setattr(passes, "CudaCapture", Repeating)
    monkeypatch.setattr(passes, "build_pass", lambda name, *parts: passes.PASSES[name](*parts))
    monkeypatch.setattr("resomap.training.trainer.build_pass", passes.build_pass)


@pytest.mark.usefixtures("graphs_on_cpu")
@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_replayed_training_equals_eager(criterion, options):
    graphed = trained("cuda_graph", criterion=criterion, **options)
    assert_equal_training(graphed, trained("eager", criterion=criterion, **options))
    assert graphed._pass._capture.recorded == 1


@pytest.mark.usefixtures("graphs_on_cpu")
def test_unused_weight_of_graph_is_not_decayed():
    trainer = build_noise_trainer(Unused(), execution="cuda_graph")
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), 0.1, weight_decay=0.5)
    trainer.train_epoch()
    assert torch.equal(trainer.model.unused, torch.ones(3, 3))


@pytest.mark.usefixtures("graphs_on_cpu")
def test_graph_is_recorded_again_for_halved_micro_batch():
    model = LimitedMemory(build_layers(), 4)
    trainer = build_noise_trainer(model, seed=3, execution="cuda_graph")
    trainer.train_epoch()
    assert trainer.micro_batch.size == 4
    assert trainer._pass._images.shape[0] == 4
    # Two passes each for 8, 8 and 6 images; the failed one and those of warm-ups left no trace.
    assert trainer.model.network[1].num_batches_tracked == 6


def test_graph_without_gpu_is_refused():
    with pytest.raises(DeviceError, match=r"system\.training\.execution: cuda_graph needs an"):
        build_noise_trainer(build_layers(), execution="cuda_graph")


@pytest.fixture
def backend(monkeypatch):
    """Let torch.compile trace networks, and run what it traced; count the traced ones."""
    compiled, compile_model = list[int](), torch.compile

    def count(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        compiled.append(1)
        return graph.forward

    monkeypatch.setattr(
        torch, "compile", lambda model, **o: compile_model(model, backend=count, **o)
    )
    return compiled


@pytest.mark.parametrize("options", [{}, {"micro_batch": 4}], ids=str)
def test_compiled_training_equals_eager(backend, options):
    assert_equal_training(trained("compiled", **options), trained("eager", **options))
    assert len(backend) == 1


def test_tenth_compiled_network_is_compiled(backend):
    for _ in range(10):
        trained("compiled")
    assert len(backend) == 10


def let_compiler_fail(monkeypatch, message: str) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError(message)

    compile_model = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, **o: compile_model(model, backend=fail, **o)
    )


def test_missing_deterministic_kernel_is_not_blamed_on_compiler(monkeypatch):
    let_compiler_fail(monkeypatch, "pool_backward does not have a deterministic implementation")
    with (
        pytest.raises(DeviceError, match=r"system\.training\.deterministic: true"),
        explaining_missing_kernels(),
    ):
        trained("compiled")


def test_failing_compiler_names_key(monkeypatch):
    let_compiler_fail(monkeypatch, "no C++ compiler\nmore")
    with pytest.raises(
        ResoMapError, match=r"execution: compiled: torch\.compile fails here"
    ) as e:
        trained("compiled")
    assert "no C++ compiler" in str(e.value)
    assert "\n" not in str(e.value)


def test_capture_that_runs_out_of_memory_says_so(monkeypatch):
    class FailingGraph:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            raise RuntimeError("the capture is invalid")

    def body() -> tuple[Tensor, Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    streams = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FailingGraph)
    monkeypatch.setattr(torch.cuda, "graph", FailingGraph)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: "before")
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    with pytest.raises(torch.OutOfMemoryError):
        passes.CudaCapture(CPU).record(body)
    assert streams == ["before"]


def tf32_flags() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("precision", "allowed", "dtype"),
    [
        ("fp32", False, torch.float32),
        ("tf32", True, torch.float32),
        ("bf16", False, torch.bfloat16),
        ("fp16", False, torch.float16),
    ],
)
def test_precision_sets_dtype_and_tf32(restored_tf32, precision, before, allowed, dtype):
    system_precision.allow_tf32(before)
    with autocast(precision, CPU):
        assert tf32_flags() == (allowed, allowed)
        assert torch.ones(1, 1).mm(torch.ones(1, 1)).dtype == dtype
    assert tf32_flags() == (before, before)
    assert not torch.is_autocast_enabled("cpu")


class FlagRecorder(nn.Module):
    """A network that records the flags of TF32 in its forward and its backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = build_network(), []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(tf32_flags())
        logits = self.inner(images)
        if logits.requires_grad:
            logits.register_hook(lambda _: self.seen.append(tf32_flags()))
        return logits


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("tf32", True)])
def test_trainer_computes_at_its_precision(restored_tf32, monkeypatch, precision, allowed):
    monkeypatch.setattr(system_precision, "why_no_tf32", lambda _: None)
    system_precision.allow_tf32(not allowed)
    model = FlagRecorder()
    trainer = build_noise_trainer(model, momentum=0.0, precision=precision)
    trainer.train_epoch()
    trainer.validate()
    assert len(model.seen) >= 3
    assert set(model.seen) == {(allowed, allowed)}


def test_tf32_is_refused_where_it_would_be_something_else():
    with pytest.raises(
        DeviceError, match=r"training\.precision: tf32, but TF32 exists on NVIDIA"
    ):
        build_noise_trainer(build_network(), momentum=0.0, precision="tf32")


@pytest.mark.parametrize(
    ("precision", "enabled"), [("bf16", False), ("tf32", False), ("fp16", True)]
)
def test_only_fp16_scales_gradients(precision, enabled):
    assert build_scaler(precision, CPU).is_enabled() == enabled
