"""Records of what a model costs at every resolution: time, memory, arithmetic and energy."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from resomap.config.schema import Profiling
from resomap.config.training import Precision
from resomap.config.variants import TRAINING_STEP
from resomap.profiling.cells import (
    CellMeasurement,
    CellSpec,
    build_cells,
    meta_images,
)
from resomap.profiling.energy import (
    measure_energy,
    open_meter,
    why_not_measured,
)
from resomap.profiling.memory import MIB, activation_bytes, model_bytes
from resomap.profiling.sensors import SensorLog, read_gpu, why_invalid
from resomap.profiling.summary import count_macs
from resomap.profiling.timing import (
    Clock,
    ColdClock,
    CudaClock,
    DisturbanceCheck,
    ProcessClock,
    Timing,
    build_cache_filler,
    measure_rounds,
)
from resomap.profiling.variants import (
    Variant,
    Workload,
    WorkloadBuilder,
    build_reference,
    build_workload,
    parse_variant,
    prepare_model,
    synchronised,
)
from resomap.system.out_of_memory import free_memory, result_or_none
from resomap.system.precision import allow_tf32, tf32_of

ENERGY_KEYS = (
    *("energy_j_per_image", "energy_j_per_image_above_idle", "energy_j_per_image_rounds"),
    *("power_w", "idle_power_w"),
)
STAGES = ("decode", "resize", "copy", "forward")

Stage = Callable[[], object]


# What is measured before and after the cells, and by the caller, is strict float32.
@tf32_of("fp32")
def profile_model(
    models: Mapping[int, nn.Module],
    profiling: Profiling,
    device: torch.device,
    precision: Precision,
    build_in_runtime: WorkloadBuilder = build_workload,
) -> dict[str, Any]:
    """Measure a model at every resolution in every variant, interleaved with a fixed reference.

    `models` has the network of each resolution, the same one where it does not depend on that.
    Batch sizes are 1 and `profiling.batch_size`; CPU threads are those torch is set to.
    `build_in_runtime` builds the workloads of runtimes, which run on the CPU. Returns `cells`,
    one record per cell (docs/decisions/0012), without measurements where it does not fit or
    run; `reference`, the timing of the reference workload; and `conditions`: the load average
    before and after, the GPU's sensor readings, and why energy was not measured. Beside a GPU,
    `cpu_reference` is the reference of the runtimes.
    """
    load_before = os.getloadavg()[0]
    prepared: dict[Variant, dict[int, nn.Module]] = {}
    for name in profiling.variants:
        variant = parse_variant(name, precision, profiling.memory_format)
        prepared[variant] = _prepare_each(models, variant, device)
    build = partial(_build, build_in_runtime)
    cells = build_cells(prepared, list(models), profiling, device, build)
    sensors = SensorLog(device)
    sensors.read("before")
    references = _time_by_device(cells, profiling, device)
    sensors.read("during")
    main = next(iter(prepared))
    if profiling.energy:
        _measure_energies(cells, main, main.device(device))
    sensors.read("after")
    return {
        "cells": _cell_records(models, cells, device),
        **{name: _timing_record(timing) for name, timing in references.items()},
        "conditions": {
            "load_average": {"before": load_before, "after": os.getloadavg()[0]},
            "gpu": sensors.records,
            "energy": why_not_measured(main.device(device)) if profiling.energy else None,
        },
    }


def _prepare_each(
    models: Mapping[int, nn.Module], variant: Variant, device: torch.device
) -> dict[int, nn.Module]:
    """Return the prepared model of each resolution; equal ones are prepared once."""
    distinct = {id(model): model for model in models.values()}
    prepared = {key: prepare_model(model, variant, device) for key, model in distinct.items()}
    return {resolution: prepared[id(model)] for resolution, model in models.items()}


def _build(
    build_in_runtime: WorkloadBuilder, model: nn.Module, variant: Variant, images: Tensor
) -> Workload:
    build = build_in_runtime if variant.in_runtime else build_workload
    return build(model, variant, images)


def _time_by_device(
    cells: Mapping[CellSpec, CellMeasurement], profiling: Profiling, device: torch.device
) -> dict[str, Timing]:
    """Time all cells; return the timing of `reference`, and of `cpu_reference` beside a GPU.

    A reference on another device would say nothing about the state of that of a cell.
    """
    own, on_cpu = dict[CellSpec, CellMeasurement](), dict[CellSpec, CellMeasurement]()
    for spec, cell in cells.items():
        is_own = spec.variant.device(device).type == device.type
        (own if is_own else on_cpu)[spec] = cell
    references = {"reference": _time_cells(own, profiling, device)}
    if on_cpu:
        references["cpu_reference"] = _time_cells(on_cpu, profiling, torch.device("cpu"))
    return references


def _time_cells(
    cells: Mapping[CellSpec, CellMeasurement], profiling: Profiling, device: torch.device
) -> Timing:
    """Time all cells that have a workload; return the timing of the reference.

    On CUDA, batch size 1 is also timed with a cold cache.
    """
    feasible = {spec: cell for spec, cell in cells.items() if cell.workload}
    warm = list(feasible.values())
    cold: list[CellMeasurement] = []
    if device.type == "cuda":
        cold = [cell for spec, cell in feasible.items() if _has_cold_timing(spec)]
    clocks = _build_clocks(feasible, device)
    calls = [cell.workload.run for cell in [*warm, *cold] if cell.workload]
    timings, reference = measure_rounds(
        calls, build_reference(device), profiling, clocks, partial(find_disturbance, device)
    )
    for cell, timing in zip(cold, timings[len(warm) :], strict=True):
        cell.cold = timing
    for cell, timing in zip(warm, timings, strict=False):
        if timing.out_of_memory:
            _mark_infeasible(cell)
        else:
            cell.timing = timing
    free_memory()
    return reference


def _build_clocks(
    feasible: Mapping[CellSpec, CellMeasurement], device: torch.device
) -> list[Clock]:
    """Return the clocks of the reference, of every cell, and of the cells with cold timings."""
    if device.type != "cuda":
        return [Clock(), *(_host_clock(spec.variant) for spec in feasible)]
    warm = [CudaClock(spec.variant.precision) for spec in feasible]
    filler = build_cache_filler(device)
    cold = [
        ColdClock(filler, spec.variant.precision) for spec in feasible if _has_cold_timing(spec)
    ]
    return [CudaClock(), *warm, *cold]


def _host_clock(variant: Variant) -> Clock:
    return ProcessClock() if variant.in_runtime else Clock()


def _mark_infeasible(cell: CellMeasurement) -> None:
    """Drop everything of a cell that ran out of memory beside the others."""
    cell.status, cell.workload = "infeasible", None
    cell.peak_bytes = cell.highest_peak_bytes = cell.reserved_bytes = None
    cell.timing = cell.cold = Timing()


def _has_cold_timing(spec: CellSpec) -> bool:
    return spec.batch_size == 1 and spec.variant.mode == "eager"


def find_disturbance(device: torch.device) -> str | None:
    """Return what disturbs a measurement on `device` now, as far as its sensors show it."""
    state = read_gpu(device)
    return why_invalid([state]) if state else None


def _measure_energies(
    cells: Mapping[CellSpec, CellMeasurement], variant: Variant, device: torch.device
) -> None:
    """Measure the energy of the cells of one variant, at half a minute per cell."""
    meter = open_meter(device)
    if meter is None:
        return
    for spec, cell in cells.items():
        if cell.workload and spec.variant == variant:
            allow_tf32(variant.precision == "tf32")
            work = synchronised(cell.workload, device)
            cell.energy = result_or_none(partial(measure_energy, meter, work, spec.batch_size))


def unsupported_reasons(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return why cells of a profile are unsupported, each with its variant."""
    return {
        f"{record['variant']}, {record['precision']}: {record['why_invalid']}"
        for record in records
        if record["status"] == "unsupported"
    }


def _cell_records(
    models: Mapping[int, nn.Module],
    cells: Mapping[CellSpec, CellMeasurement],
    device: torch.device,
) -> list[dict[str, Any]]:
    macs = {resolution: count_macs(model, resolution) for resolution, model in models.items()}
    return [
        _cell_record(models[spec.resolution], spec, macs[spec.resolution], cell, device)
        for spec, cell in cells.items()
    ]


def _cell_record(
    model: nn.Module, spec: CellSpec, macs: int, cell: CellMeasurement, device: torch.device
) -> dict[str, Any]:
    trains, latency = spec.variant.mode == TRAINING_STEP, cell.timing.percentile_ms(50)
    rate = latency and 1e3 * spec.batch_size / latency
    return {
        "resolution": spec.resolution,
        "batch_size": spec.batch_size,
        "variant": spec.variant.mode,
        "precision": spec.variant.precision,
        "memory_format": spec.variant.memory_format,
        "threads": torch.get_num_threads(),
        "device": spec.variant.device(device).type,
        "status": cell.status,
        **_timing_record(cell.timing),
        "why_invalid": cell.why_unsupported or cell.timing.why_invalid,
        "latency_ms_p50_cold": cell.cold.percentile_ms(50),
        "inference_images_per_second": None if trains else rate,
        "training_images_per_second": rate if trains else None,
        "macs": macs,
        "flops": 2 * macs,
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        **_size_record(model, spec, cell),
        "peak_memory_mib": cell.peak_bytes and cell.peak_bytes / MIB,
        "peak_memory_mib_highest": cell.highest_peak_bytes and cell.highest_peak_bytes / MIB,
        "peak_reserved_mib": cell.reserved_bytes and cell.reserved_bytes / MIB,
        **{key: getattr(cell.energy, key, None) for key in ENERGY_KEYS},
    }


def _size_record(
    model: nn.Module, spec: CellSpec, cell: CellMeasurement
) -> dict[str, float | None]:
    """Return the size of the model and of its activations, MiB."""
    if spec.variant.in_runtime:
        # What it fuses and reuses is the runtime's own affair: no shapes tell its activations.
        size = cell.workload.file_bytes if cell.workload else None
        return {"model_size_mib": size and size / MIB, "activations_mib": None}
    images = meta_images(spec.resolution, spec.batch_size)
    trains = spec.variant.mode == TRAINING_STEP
    activations = activation_bytes(model, images, training=trains)
    return {"model_size_mib": model_bytes(model) / MIB, "activations_mib": activations / MIB}


def _timing_record(timing: Timing) -> dict[str, Any]:
    low, high = timing.interval_ms
    return {
        "n": len(timing.latencies_ms),
        "rounds": len(timing.rounds),
        "valid": timing.valid,
        "why_invalid": timing.why_invalid,
        "latency_ms_p50": timing.percentile_ms(50),
        "latency_ms_p90": timing.percentile_ms(90),
        "latency_ms_p99": timing.percentile_ms(99),
        "latency_ms_low": low,
        "latency_ms_high": high,
        "latency_ms_rounds": timing.medians_ms,
        "relative_error": timing.relative_error,
        "cpu_share": timing.cpu_share,
        "ratio_to_reference": timing.ratio,
        "ratio_rounds": timing.ratios,
    }


def measure_stages(
    stages: Mapping[int, Sequence[Stage]],
    reference: Stage,
    profiling: Profiling,
    clock: Clock,
    check: DisturbanceCheck = lambda: None,
) -> list[dict[str, Any]]:
    """Time the four STAGES of one image at every resolution, interleaved.

    A stage has finished when it returns. Returns one record per resolution: the median of each
    stage in ms, the fewest repetitions, and whether all are valid.
    """
    calls = [stage for resolution_stages in stages.values() for stage in resolution_stages]
    # Stages are reported as shares of each other, for which a third of the time, and the fewest
    # rounds, are precise enough.
    shorter = profiling.model_copy(
        update={
            "warmup_seconds": profiling.warmup_seconds / 3,
            "round_seconds": profiling.round_seconds / 3,
            "target_relative_error": 1.0,
        }
    )
    timings, _ = measure_rounds(calls, reference, shorter, [clock] * (1 + len(calls)), check)
    starts = range(0, len(timings), len(STAGES))
    return [
        {"resolution": resolution, **_stage_record(timings[start : start + len(STAGES)])}
        for resolution, start in zip(stages, starts, strict=True)
    ]


def _stage_record(timings: Iterable[Timing]) -> dict[str, Any]:
    by_stage = dict(zip(STAGES, timings, strict=True))
    return {
        **{f"{stage}_ms": timing.percentile_ms(50) for stage, timing in by_stage.items()},
        "n": min(len(timing.latencies_ms) for timing in by_stage.values()),
        "valid": all(timing.valid for timing in by_stage.values()),
    }
