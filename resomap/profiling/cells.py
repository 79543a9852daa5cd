"""The cells of a profile: every variant at every resolution and batch, built, run once for its memory, and kept where it fits."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from resomap.config.schema import Profiling
from resomap.profiling.batches import largest_batch, sweep_sizes
from resomap.profiling.energy import Energy
from resomap.profiling.memory import activation_bytes, growth_bytes
from resomap.profiling.timing import Clock, Timing
from resomap.profiling.variants import (
    TRAINING_STEP,
    UnsupportedError,
    Variant,
    Workload,
    build_workload,
)

LARGEST_BATCH = 4096
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)


class Spec(NamedTuple):
    """A cell to measure."""

    variant: Variant
    resolution: int
    batch_size: int


@dataclass
class Measured:
    """What is found out about a cell; `status` is ok, infeasible (it does not fit) or unsupported (this machine cannot run it).

    `cold` is timed with an empty cache, on CUDA and at batch 1 only.
    """

    status: str = "ok"
    workload: Workload | None = None
    peak_bytes: int | None = None
    reserved_bytes: int | None = None
    timing: Timing = field(default_factory=Timing)
    cold: Timing = field(default_factory=Timing)
    energy: Energy | None = None


def build_cells(
    prepared: dict[Variant, nn.Module],
    resolutions: Sequence[int],
    profiling: Profiling,
    device: torch.device,
) -> dict[Spec, Measured]:
    """Every cell of the networks, which are prepared for their variants; what does not fit has no workload."""
    measured: dict[Spec, Measured] = {}
    for resolution in resolutions:
        specs = list(_specs(prepared, resolution, profiling, device))
        pictures = _draw_pictures(resolution, max(spec.batch_size for spec in specs)).to(device)
        measured |= {
            spec: _try(prepared[spec.variant], spec.variant, pictures[: spec.batch_size])
            for spec in specs
        }
    return measured


def _specs(
    prepared: dict[Variant, nn.Module],
    resolution: int,
    profiling: Profiling,
    device: torch.device,
) -> Iterator[Spec]:
    for number, (variant, model) in enumerate(prepared.items()):
        sizes = (
            {profiling.batch_size}
            if variant.mode == TRAINING_STEP
            else {1, profiling.batch_size}
        )
        if profiling.batch_sweep and number == 0:
            sizes |= set(
                sweep_sizes(
                    largest_batch(
                        _fits(model, variant, resolution, profiling, device), LARGEST_BATCH
                    )
                )
            )
        yield from (Spec(variant, resolution, size) for size in sorted(sizes))


def _fits(
    model: nn.Module,
    variant: Variant,
    resolution: int,
    profiling: Profiling,
    device: torch.device,
) -> Callable[[int], bool]:
    """Whether a batch fits: on CUDA tried; on a CPU, which would swap or be killed, told by its activations and by the time it would take."""
    alone = activation_bytes(model, shapes_of(resolution, 1))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    @cache
    def seconds_a_picture() -> float:
        clock, run = Clock(), build_workload(model, variant, _draw_pictures(resolution, 2)).run
        return min(clock.latency_ms(run) for _ in range(3)) / 2e3

    def fits(size: int) -> bool:
        if device.type == "cuda":
            return _fits_on_cuda(model, variant, resolution, size, device)
        return alone * size < free / 2 and seconds_a_picture() * size < profiling.max_seconds

    return fits


def _fits_on_cuda(
    model: nn.Module, variant: Variant, resolution: int, size: int, device: torch.device
) -> bool:
    try:
        pictures = torch.zeros(size, 3, resolution, resolution, device=device)
    except OUT_OF_MEMORY:
        return False
    return _try(model, variant, pictures).status == "ok"


def _try(model: nn.Module, variant: Variant, pictures: Tensor) -> Measured:
    """Build a cell and run it for its memory; what was taken for one that does not fit is given back."""
    try:
        workload = build_workload(model, variant, pictures)
        growth, reserved = growth_bytes(workload.run, pictures.device)
    except OUT_OF_MEMORY:
        found = Measured("infeasible")
    except UnsupportedError:
        found = Measured("unsupported")
    else:
        return Measured("ok", workload, workload.held_bytes() + growth, reserved)
    gc.collect()
    if pictures.is_cuda:
        torch.cuda.empty_cache()
    return found


def _draw_pictures(resolution: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, resolution, resolution, generator=generator)


def shapes_of(resolution: int, count: int) -> Tensor:
    """Pictures without pixels, on the meta device."""
    return torch.empty(count, 3, resolution, resolution, device="meta")
