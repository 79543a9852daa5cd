"""Cells of a profile: every variant, resolution and batch size, with its peak memory."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from resomap.config.schema import Profiling
from resomap.config.variants import TRAINING_STEP
from resomap.profiling.energy import Energy
from resomap.profiling.memory import activation_bytes, growth_bytes
from resomap.profiling.timing import Clock, Timing
from resomap.profiling.variants import (
    UnsupportedError,
    Variant,
    Workload,
    WorkloadBuilder,
    build_workload,
)
from resomap.system.out_of_memory import free_memory, result_or_none

MAX_BATCH_SIZE = 4096
# Of the largest batch that fits alone on a GPU: the other cells hold weights, images and the
# pools of CUDA graphs beside it, and the allocator loses some memory to fragments.
SHARE_OF_EDGE = 0.875


class CellSpec(NamedTuple):
    """A cell to measure."""

    variant: Variant
    resolution: int
    batch_size: int


@dataclass
class CellMeasurement:
    """Measurements of a cell.

    `status` is ok, infeasible (does not fit into memory) or unsupported (this machine cannot
    run it, for the reason `why_unsupported`). `highest_peak_bytes` is the largest of its
    repetitions, and `cold` is timed with an empty cache, on CUDA at batch size 1 only.
    """

    status: str = "ok"
    why_unsupported: str | None = None
    workload: Workload | None = None
    peak_bytes: int | None = None
    highest_peak_bytes: int | None = None
    reserved_bytes: int | None = None
    timing: Timing = field(default_factory=Timing)
    cold: Timing = field(default_factory=Timing)
    energy: Energy | None = None


def build_cells(
    prepared: dict[Variant, dict[int, nn.Module]],
    resolutions: Sequence[int],
    profiling: Profiling,
    device: torch.device,
    build: WorkloadBuilder = build_workload,
) -> dict[CellSpec, CellMeasurement]:
    """Build every cell of the models, prepared for each resolution, and measure its memory.

    A cell that does not fit, or that the machine cannot run, has no workload.
    """
    cells: dict[CellSpec, CellMeasurement] = {}
    for resolution in resolutions:
        specs = list(_cell_specs(prepared, resolution, profiling, device, build))
        images = _draw_shared_images(resolution, specs, device)
        for spec in specs:
            if spec.batch_size > len(images):
                cells[spec] = CellMeasurement("infeasible")
                continue
            model = prepared[spec.variant][resolution]
            batch = images[: spec.batch_size].to(spec.variant.device(device))
            cells[spec] = _build_cell(model, spec.variant, batch, build)
    return cells


def _draw_shared_images(
    resolution: int, specs: Sequence[CellSpec], device: torch.device
) -> Tensor:
    """Return the images that all cells of a resolution share, as many as fit on the device."""
    for count in sorted({spec.batch_size for spec in specs}, reverse=True):
        images = result_or_none(partial(_draw_on_device, resolution, count, device))
        if images is not None:
            return images
        free_memory()
    return torch.empty(0, 3, resolution, resolution)


def _draw_on_device(resolution: int, count: int, device: torch.device) -> Tensor:
    return draw_images(resolution, count).to(device)


def _cell_specs(
    prepared: dict[Variant, dict[int, nn.Module]],
    resolution: int,
    profiling: Profiling,
    device: torch.device,
    build: WorkloadBuilder,
) -> Iterator[CellSpec]:
    for number, (variant, models) in enumerate(prepared.items()):
        sizes = {profiling.batch_size}
        if variant.mode != TRAINING_STEP:
            sizes.add(1)
        if profiling.batch_sweep and number == 0:
            place = variant.device(device)
            fits = _fit_test(models[resolution], variant, resolution, profiling, place, build)
            largest = largest_batch(fits, MAX_BATCH_SIZE)
            sizes.update(sweep_sizes(_below_the_edge(largest, place)))
        for size in sorted(sizes):
            yield CellSpec(variant, resolution, size)


def largest_batch(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest batch size up to `limit` that fits; 0 if one image does not fit.

    Doubles, then bisects: `fits` must be monotone in the batch size.
    """
    known, size = 0, 1
    while size <= limit and fits(size):
        known, size = size, 2 * size
    too_large = min(size, limit + 1)
    while too_large - known > 1:
        middle = (known + too_large) // 2
        if fits(middle):
            known = middle
        else:
            too_large = middle
    return known


def _below_the_edge(largest: int, device: torch.device) -> int:
    """Return the largest batch size to measure; on a CPU the fit test leaves room already."""
    at_the_edge = device.type == "cuda" and largest < MAX_BATCH_SIZE
    return int(SHARE_OF_EDGE * largest) if at_the_edge else largest


def sweep_sizes(largest: int) -> list[int]:
    """Return the powers of two from 2 below `largest`, then `largest` itself."""
    sizes, size = [], 2
    while size < largest:
        sizes.append(size)
        size *= 2
    return [*sizes, largest] if largest > 1 else []


def _fit_test(
    model: nn.Module,
    variant: Variant,
    resolution: int,
    profiling: Profiling,
    device: torch.device,
    build: WorkloadBuilder = build_workload,
) -> Callable[[int], bool]:
    """Return a function that tests whether a batch size fits.

    On CUDA it tries. A CPU would swap or have the process killed, so there the activations must
    fit into half of the free memory, and one batch must take less than `max_seconds`.
    """
    if device.type == "cuda":
        return lambda size: _fits_on_cuda(model, variant, resolution, size, device)
    image_bytes = activation_bytes(model, meta_images(resolution, 1))
    free_bytes = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    @cache
    def seconds_per_image() -> float:
        try:
            run = build(model, variant, draw_images(resolution, 2)).run
        except UnsupportedError:
            return math.inf  # its cells are built nevertheless, for the reason
        return min(Clock().latency_ms(run) for _ in range(3)) / 2e3

    def fits(size: int) -> bool:
        if image_bytes * size >= free_bytes / 2:
            return False
        return seconds_per_image() * size < profiling.max_seconds

    return fits


def _fits_on_cuda(
    model: nn.Module, variant: Variant, resolution: int, size: int, device: torch.device
) -> bool:
    images = result_or_none(lambda: torch.zeros(size, 3, resolution, resolution, device=device))
    if images is None:
        free_memory()
        return False
    return _build_cell(model, variant, images).status == "ok"


def _build_cell(
    model: nn.Module,
    variant: Variant,
    images: Tensor,
    build: WorkloadBuilder = build_workload,
) -> CellMeasurement:
    """Build a cell and run it for its memory; free everything again if it does not fit."""
    try:
        cell = result_or_none(lambda: _measure_memory(build(model, variant, images), images))
    except UnsupportedError as error:
        cell = CellMeasurement("unsupported", str(error))
    if cell is None or cell.workload is None:
        # Gradients of a training step that did not fit belong to the model, which stays.
        model.zero_grad(set_to_none=True)
        free_memory()
    return cell or CellMeasurement("infeasible")


def _measure_memory(workload: Workload, images: Tensor) -> CellMeasurement:
    growth = workload.growth or growth_bytes(workload.run, images.device)
    captured_peak, captured_reserved = workload.captured_bytes
    held = workload.held_bytes()
    peak, highest = (held + captured_peak + each for each in (growth.least, growth.highest))
    # Only what this cell makes the allocator reserve: earlier cells keep their own blocks.
    reserved_bytes = None
    if growth.reserved is not None:
        reserved_bytes = held + captured_reserved + growth.reserved
    return CellMeasurement("ok", None, workload, peak, highest, reserved_bytes)


def draw_images(resolution: int, count: int) -> Tensor:
    """Draw normal images (count, 3, r, r) from a fixed seed and a generator of their own."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, resolution, resolution, generator=generator)


def meta_images(resolution: int, count: int) -> Tensor:
    """Return images (count, 3, r, r) on the meta device: shapes without values."""
    return torch.empty(count, 3, resolution, resolution, device="meta")
