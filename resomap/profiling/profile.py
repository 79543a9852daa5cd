"""The cost of one network at every resolution: latency, throughput, a training step, memory, arithmetic and size."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from resomap.config.schema import Profiling
from resomap.config.training import Precision
from resomap.profiling.cells import Measured, Spec, build_cells, shapes_of
from resomap.profiling.energy import measure_energy, open_meter, why_not_measured
from resomap.profiling.flops import count_macs
from resomap.profiling.memory import MIB, activation_bytes, model_bytes
from resomap.profiling.reference import reference_cell
from resomap.profiling.sensors import Watch, read_gpu, why_invalid
from resomap.profiling.timing import Clock, ColdClock, CudaClock, Timing, measure_rounds
from resomap.profiling.variants import (
    TRAINING_STEP,
    Variant,
    finished,
    parse_variant,
    prepare_model,
)

ENERGY = ("energy_j_per_image", "energy_j_per_image_above_idle", "power_w", "idle_power_w")


def profile_model(
    model: nn.Module,
    resolutions: Sequence[int],
    profiling: Profiling,
    device: torch.device,
    precision: Precision,
) -> dict[str, Any]:
    """Measure `model` at every resolution in every variant, at batch 1 and `profiling.batch_size`, all cells and a fixed reference interleaved.

    Returns `cells`, one record a cell (see docs/decisions/0012); `reference`, the timing of the fixed workload; and `conditions`, the
    machine's load over one minute, before and after, and what a GPU's sensors said before, during and after. What the machine cannot
    hold or run has no measurements. The CPU threads are those torch has been given.
    """
    before = os.getloadavg()[0]
    variants = [
        parse_variant(name, precision, profiling.memory_format) for name in profiling.variants
    ]
    prepared = {variant: prepare_model(model, variant, device) for variant in variants}
    measured = build_cells(prepared, resolutions, profiling, device)
    watch = Watch(device)
    watch.note("before")
    reference = _time(measured, profiling, device)
    watch.note("during")
    if profiling.energy:
        _measure_energy(measured, next(iter(prepared)), device)
    watch.note("after")
    macs = {resolution: count_macs(model, resolution) for resolution in resolutions}
    return {
        "cells": [
            _describe_cell(model, spec, macs[spec.resolution], found, device)
            for spec, found in measured.items()
        ],
        "reference": _describe(reference),
        "conditions": {
            "load_average": {"before": before, "after": os.getloadavg()[0]},
            "gpu": watch.records,
            "energy": why_not_measured(device) if profiling.energy else None,
        },
    }


def _time(measured: dict[Spec, Measured], profiling: Profiling, device: torch.device) -> Timing:
    """Time every cell that fits, and on CUDA batch 1 with a cold cache, too; returns the reference's timing."""
    able = [found for found in measured.values() if found.workload]
    cold = [
        found
        for spec, found in measured.items()
        if found.workload and device.type == "cuda" and _is_cold(spec)
    ]
    clock = CudaClock() if device.type == "cuda" else Clock()
    clocks = [clock] * (1 + len(able)) + [ColdClock(device) for _ in cold]
    cells = [found.workload.run for found in [*able, *cold] if found.workload]
    timings, reference = measure_rounds(
        cells, reference_cell(device), profiling, clocks, partial(disturbed, device)
    )
    for found, timing in zip(able, timings, strict=False):
        found.timing = timing
    for found, timing in zip(cold, timings[len(able) :], strict=True):
        found.cold = timing
    return reference


def disturbed(device: torch.device) -> str | None:
    """What spoils a measurement on `device` at this moment, as far as its sensors tell."""
    state = read_gpu(device)
    return why_invalid([state]) if state else None


def _measure_energy(
    measured: dict[Spec, Measured], first: Variant, device: torch.device
) -> None:
    """Joules of the cells of the first variant, where the machine has a counter; half a minute each."""
    meter = open_meter(device)
    for spec, found in measured.items():
        if meter and found.workload and spec.variant == first:
            found.energy = measure_energy(
                meter, finished(found.workload, device), spec.batch_size
            )


def _is_cold(spec: Spec) -> bool:
    return spec.batch_size == 1 and spec.variant.mode == "eager"


def _describe_cell(
    model: nn.Module, spec: Spec, macs: int, found: Measured, device: torch.device
) -> dict[str, Any]:
    trains, latency = spec.variant.mode == TRAINING_STEP, found.timing.percentile_ms(50)
    rate = latency and 1e3 * spec.batch_size / latency
    activations = activation_bytes(
        model, shapes_of(spec.resolution, spec.batch_size), training=trains
    )
    return {
        "resolution": spec.resolution,
        "batch_size": spec.batch_size,
        "variant": spec.variant.mode,
        "precision": spec.variant.precision,
        "memory_format": spec.variant.memory_format,
        "threads": torch.get_num_threads(),
        "device": device.type,
        "status": found.status,
        **_describe(found.timing),
        "latency_ms_p50_cold": found.cold.percentile_ms(50),
        "inference_images_per_second": None if trains else rate,
        "training_images_per_second": rate if trains else None,
        "macs": macs,
        "flops": 2 * macs,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "model_size_mib": model_bytes(model) / MIB,
        "activations_mib": activations / MIB,
        "peak_memory_mib": found.peak_bytes and found.peak_bytes / MIB,
        "peak_reserved_mib": found.reserved_bytes and found.reserved_bytes / MIB,
        **{name: getattr(found.energy, name, None) for name in ENERGY},
    }


def _describe(timing: Timing) -> dict[str, Any]:
    low, high = timing.interval_ms
    return {
        "n": len(timing.latencies_ms),
        "rounds": len(timing.rounds),
        "valid": timing.valid,
        "why_invalid": timing.why_invalid,
        **{f"latency_ms_p{percent}": timing.percentile_ms(percent) for percent in (50, 90, 99)},
        "latency_ms_low": low,
        "latency_ms_high": high,
        "latency_ms_rounds": timing.medians_ms,
        "relative_error": timing.relative_error,
        "cpu_share": timing.cpu_share,
        "ratio_to_reference": timing.ratio,
        "ratio_rounds": timing.ratios,
    }
