"""The cost of one network at every resolution: latency, throughput, memory, arithmetic and size."""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resomap.profiling.flops import count_macs
from resomap.profiling.memory import MIB, model_bytes, peak_memory_bytes
from resomap.profiling.reference import reference_cell
from resomap.profiling.timing import Cell, Clock, CudaClock, Timing, measure_rounds
from resomap.recipe import Precision
from resomap.sections import Profiling

DTYPES = {"fp32": torch.float32}
MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class Shape(NamedTuple):
    """Of a batch of pictures."""

    resolution: int
    batch_size: int


def profile_model(
    model: nn.Module, resolutions: Sequence[int], profiling: Profiling, device: torch.device, precision: Precision
) -> dict[str, Any]:
    """Measure `model` at every resolution, at batch 1 and at `profiling.batch_size`, all cells and a fixed reference interleaved.

    Returns `cells`, one record a cell: the columns of profiles.csv but family and model, then latency_ms_rounds,
    relative_spread and cpu_share; `reference`, the timing of the fixed workload; and `load_average`, the machine's over one
    minute, before and after. A cell that the device's memory cannot hold is `infeasible`, its measurements None.
    `model` is moved to the device and put in evaluation mode; the CPU threads are those torch has been given.
    """
    before = os.getloadavg()[0]
    model.to(device, DTYPES[precision]).to(memory_format=MEMORY_FORMATS[profiling.memory_format]).eval()
    shapes = [Shape(*shape) for shape in product(resolutions, (1, profiling.batch_size))]
    timings, peaks, reference = _measure(model, shapes, profiling, device, precision)
    constant = {
        "device": device.type,
        "precision": precision,
        "memory_format": profiling.memory_format,
        "variant": "eager",
        "threads": torch.get_num_threads(),
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "model_size_mib": model_bytes(model) / MIB,
    }
    macs = {resolution: count_macs(model, resolution) for resolution in resolutions}
    return {
        "cells": [
            constant | _describe_cell(shape, macs[shape.resolution], peaks.get(shape), timings.get(shape, Timing())) for shape in shapes
        ],
        "reference": _describe(reference),
        "load_average": {"before": before, "after": os.getloadavg()[0]},
    }


@torch.inference_mode()
def _measure(
    model: nn.Module, shapes: Sequence[Shape], profiling: Profiling, device: torch.device, precision: Precision
) -> tuple[dict[Shape, Timing], dict[Shape, int], Timing]:
    """The timing and the peak of bytes of every shape that fits, and the reference's timing."""
    cells: dict[Shape, Cell] = {}
    peaks: dict[Shape, int] = {}
    for shape in shapes:
        with suppress(torch.OutOfMemoryError):
            pictures = _draw_pictures(shape).to(device, DTYPES[precision], memory_format=MEMORY_FORMATS[profiling.memory_format])
            peaks[shape] = peak_memory_bytes(model, pictures)
            cells[shape] = partial(model, pictures)
    clock = CudaClock() if device.type == "cuda" else Clock()
    reference, *timings = measure_rounds([reference_cell(device), *cells.values()], profiling, clock)
    return dict(zip(cells, timings, strict=True)), peaks, reference


def _draw_pictures(shape: Shape) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape.batch_size, 3, shape.resolution, shape.resolution, generator=generator)


def _describe_cell(shape: Shape, macs: int, peak: int | None, timing: Timing) -> dict[str, Any]:
    latency = timing.percentile_ms(50)
    return {
        **shape._asdict(),
        "status": "ok" if timing.rounds else "infeasible",
        **_describe(timing),
        "inference_images_per_second": latency and 1e3 * shape.batch_size / latency,
        "macs": macs,
        "flops": 2 * macs,
        "peak_memory_mib": peak and peak / MIB,
    }


def _describe(timing: Timing) -> dict[str, Any]:
    return {
        "n": len(timing.latencies_ms),
        "valid": timing.valid,
        **{f"latency_ms_p{percent}": timing.percentile_ms(percent) for percent in (50, 90, 99)},
        "latency_ms_rounds": timing.round_medians_ms,
        "relative_spread": timing.relative_spread,
        "cpu_share": timing.cpu_share,
    }
