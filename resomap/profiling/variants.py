"""What is timed: a network's forward pass in one of several ways, or a step of its training."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW

from resomap.config.training import Precision
from resomap.profiling.memory import model_bytes

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
TRAINING_STEP = "training_step"
WARM_CALLS = 3
"""Before a CUDA graph is captured, as torch's documentation asks for: libraries set themselves up in the first calls."""


class UnsupportedError(Exception):
    """A variant that this machine cannot run; the message says why."""


class Variant(NamedTuple):
    """A way to run a network, in an arithmetic and a layout."""

    mode: str
    precision: Precision
    memory_format: str


@dataclass(frozen=True)
class Workload:
    """Something to time: one call of `run` is one batch; `held_bytes` says what it keeps in memory between calls, pictures included."""

    run: Callable[[], object]
    held_bytes: Callable[[], int]


def finished(workload: Workload, device: torch.device) -> Callable[[], None]:
    """The workload as a call that is done when it returns."""

    def run() -> None:
        workload.run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def parse_variant(name: str, precision: Precision, memory_format: str) -> Variant:
    """`MODE[-PRECISION][-LAYOUT]`, what is left out taken from the run's."""
    mode, *rest = name.split("-")
    precisions = [part for part in get_args(Precision) if part in rest]
    layouts = [part for part in rest if part in MEMORY_FORMATS]
    return Variant(mode, *(precisions or [precision]), *(layouts or [memory_format]))


def prepare_model(model: nn.Module, variant: Variant, device: torch.device) -> nn.Module:
    """A copy of the network as the variant wants it: weights in its precision for inference, in float32 (autocast) for training."""
    dtype = torch.float32 if variant.mode == TRAINING_STEP else DTYPES[variant.precision]
    copied = (
        copy.deepcopy(model)
        .to(device, dtype)
        .to(memory_format=MEMORY_FORMATS[variant.memory_format])
    )
    return copied.train(variant.mode == TRAINING_STEP)


def build_workload(model: nn.Module, variant: Variant, pictures: Tensor) -> Workload:
    """A workload of a prepared network on float32 `pictures` (N, 3, r, r), which lie on its device.

    UnsupportedError where the machine cannot run the variant; torch.OutOfMemoryError, from its first call too, where it does not fit.
    """
    if variant.mode == TRAINING_STEP:
        return _training_step(
            model, variant, pictures.to(memory_format=MEMORY_FORMATS[variant.memory_format])
        )
    batch = pictures.to(DTYPES[variant.precision]).to(
        memory_format=MEMORY_FORMATS[variant.memory_format]
    )
    run = {"eager": _eager, "compiled": _compiled, "cuda_graph": _cuda_graph}[variant.mode](
        model, batch
    )
    return Workload(run, lambda: model_bytes(model) + batch.nbytes)


def _eager(model: nn.Module, batch: Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return model(batch)

    return run


def _compiled(model: nn.Module, batch: Tensor) -> Callable[[], object]:
    run = _eager(torch.compile(model, dynamic=False), batch)  # type: ignore[arg-type]
    try:
        run()
    except torch.OutOfMemoryError:
        raise
    except (
        RuntimeError
    ) as error:  # of the backend: no compiler, or an operator it does not know
        raise UnsupportedError(
            f"torch.compile: {str(error).strip().splitlines()[0]}"
        ) from error
    return run


def _cuda_graph(model: nn.Module, batch: Tensor) -> Callable[[], object]:
    if not batch.is_cuda:
        raise UnsupportedError("CUDA graphs need a CUDA device")
    run, side = _eager(model, batch), torch.cuda.Stream(batch.device)
    side.wait_stream(torch.cuda.current_stream(batch.device))
    with torch.cuda.stream(side):
        for _ in range(WARM_CALLS):
            run()
    torch.cuda.current_stream(batch.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def _training_step(model: nn.Module, variant: Variant, batch: Tensor) -> Workload:
    """Forward in autocast, cross-entropy, backward, AdamW (fused): the step of the default recipe, on one class."""
    optimizer = AdamW(model.parameters(), lr=1e-6, fused=True)
    labels = torch.zeros(len(batch), dtype=torch.int64, device=batch.device)
    scaler = torch.amp.GradScaler(batch.device.type, enabled=variant.precision == "fp16")
    enabled = variant.precision != "fp32"

    def run() -> object:
        with torch.autocast(
            batch.device.type, DTYPES[variant.precision] if enabled else None, enabled=enabled
        ):
            loss = cross_entropy(model(batch), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    def held() -> int:
        state = [
            tensor
            for values in optimizer.state.values()
            for tensor in values.values()
            if isinstance(tensor, Tensor)
        ]
        gradients = [
            parameter.grad for parameter in model.parameters() if parameter.grad is not None
        ]
        return (
            model_bytes(model)
            + batch.nbytes
            + sum(tensor.nbytes for tensor in [*state, *gradients])
        )

    return Workload(run, held)
