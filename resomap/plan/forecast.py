"""The estimate of a sweep's time, memory, price and disk space, from measurements of its cells.

Durations are arrays of two: wall seconds and CPU seconds.
"""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapreplace
from pathlib import Path
from typing import Any

import numpy as np

from resomap.config.architecture import Architecture
from resomap.config.schema import Config, Explainability, Profiling, Runtime
from resomap.config.training import Training
from resomap.config.variants import RUNTIME_VARIANTS
from resomap.workflow.artifact_paths import RESULTS_FOLDER
from resomap.workflow.resources import gpus_per_job, planned_cells, read_plan
from resomap.workflow.targets import swept_models

MIB = 2**20
STAGES = ("train", "evaluate", "explain", "profile")
FAITHFULNESS_VIEWS = 6
"""Blurred views of an image and map: three shares of its area, deleted and inserted."""
OCCLUSION_GRADIENTS = 48
"""Gradients that cost as much as the 144 forward passes of occlusion."""
OPTIMIZER_STATES = 3
"""Size of a training state over that of its weights, with AdamW."""
# Equal to constants of training.autosave and data.loading.placement, which load torch.
AUTOSAVE_SHARE = 0.02
RESIDENT_SHARE = 0.5
# Between the 27 s and about 90 s of the smoke sweep on two shared cores (one run each).
OTHER_SECONDS = 45
"""Start of Snakemake, preparation of the images, summaries, tables, figures and report."""
EXPORT_SECONDS = 8
"""Export of a network for a variant of a profile in a runtime, and measuring its memory; rough."""

CellRecord = Mapping[str, Any]
"""What `training.steps.measure_cells` measured of a cell; with `end_seconds`, the time its process took to exit."""


@dataclass(frozen=True)
class ImageCounts:
    """The number of images of each split and of classes, and how they are stored.

    `stored_bytes` are those of all resolutions, `native_side` is the largest in pixels.
    """

    train: int
    val: int
    test: int
    classes: int
    stored_bytes: int
    native_side: int


@dataclass(frozen=True)
class Capacity:
    """Jobs that run at once, whether each has a GPU, and the price of an hour of a GPU or core."""

    workers: int
    on_gpus: bool
    rate: float | None

    @property
    def unit(self) -> str:
        """Return what is paid for by the hour."""
        return "GPU" if self.on_gpus else "core"


def estimate_minutes(
    config: Config, cores: int, results: Path = RESULTS_FOLDER
) -> float | None:
    """Return the wall minutes of the whole sweep, by its plan; None where it has none.

    `cores` jobs run at once on a CPU, and on GPUs as many as in the plan.
    """
    capacity = planned_capacity(config, cores, results)
    planned = planned_cells(config, results)
    cells = {(cell["model"], cell["resolution"]): cell for cell in planned}
    names = [model.name for model in swept_models(config)]
    swept = set(itertools.product(names, config.sweep.resolutions))
    # A plan of other models or resolutions would leave some out.
    if capacity is None or not swept <= set(cells):
        return None
    jobs: dict[str, list[np.ndarray]] = {stage: [] for stage in STAGES}
    for model, resolution in swept:
        cell = cells[model, resolution]
        seconds = {"train": cell["wall_seconds"], **cell["other_wall_seconds"]}
        # The profile of a model is one job for all of its resolutions.
        if resolution == max(config.sweep.resolutions):
            jobs["profile"].append(np.array([seconds["profile"]]))
        for stage in ("train", "evaluate", *["explain"] * config.explainability.enabled):
            jobs[stage] += [np.array([seconds[stage]])] * len(config.sweep.seeds)
    return _sweep_seconds(jobs, capacity) / 60


def planned_capacity(config: Config, cores: int, results: Path) -> Capacity | None:
    """Return the jobs that run at once: on GPUs as in the plan; None without a plan."""
    if not gpus_per_job(config):
        return Capacity(cores, False, None)
    totals = read_plan(results).get("totals", {})
    return Capacity(totals["workers"], True, None) if totals.get("unit") == "GPU" else None


def forecast_cells(
    config: Config, model: Architecture, records: Mapping[int, CellRecord], images: ImageCounts
) -> list[dict[str, Any]]:
    """Return the estimate of a training of each cell: step time, rate, seconds, peak memory.

    A cell that does not fit has only a reason. `other_wall_seconds` are those of its other jobs; the
    profile's are for the whole model.
    """
    fitting = [record for record in records.values() if record["status"] == "ok"]
    cells = []
    for resolution, record in records.items():
        cell = {
            "family": model.family,
            "model": model.name,
            "resolution": resolution,
            "architecture": model.model_dump(mode="json"),
            "status": record["status"],
        }
        if record["status"] == "ok":
            cell |= _forecast_cell(config, resolution, record, fitting, images)
        else:
            cell |= {"fits": "no", "reason": record["reason"]}
        cells.append(cell)
    return cells


def _forecast_cell(
    config: Config,
    resolution: int,
    record: CellRecord,
    cells: list[CellRecord],
    images: ImageCounts,
) -> dict[str, Any]:
    wall, cpu = training_seconds(record, config.training, config.system.training, images)
    crops_native = config.training.augmentation.crops_native
    peaks = add_image_memory(record, resolution, images, crops_native)
    step = record["step_seconds"][0]
    batch_size, explainability = config.training.batch_size, config.explainability
    evaluate, _ = evaluation_seconds(config, record, cells, images)
    explain, _ = explanation_seconds(record, batch_size, explainability)
    profile, _ = profile_seconds(cells, config.system.profiling)
    return {
        "fits": _fits(record, peaks["peak_memory_mib"], config),
        "step_ms": 1e3 * step,
        "train_images_per_second": batch_size / step,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "other_wall_seconds": {"evaluate": evaluate, "explain": explain, "profile": profile},
        **peaks,
    }


def forecast_sweep(
    config: Config,
    measured: Mapping[str, list[CellRecord]],
    images: ImageCounts,
    capacity: Capacity,
) -> dict[str, Any]:
    """Return seconds of each stage, hours, price and bytes on disk of the cells that fit.

    `measured` holds the records of these cells by model.
    """
    jobs = _job_seconds(config, measured, images)
    totals = {stage: sum(jobs[stage], start=np.zeros(2)) for stage in STAGES}
    wall_seconds = {stage: wall for stage, (wall, _) in totals.items()}
    cpu_seconds = {stage: cpu for stage, (_, cpu) in totals.items()}
    # A GPU is paid for while it is leased, a core for what it computes.
    paid_seconds = wall_seconds if capacity.on_gpus else cpu_seconds
    hours = sum(paid_seconds.values()) / 3600
    records = itertools.chain.from_iterable(measured.values())
    checkpoints = sum(checkpoint_bytes(record, config.training) for record in records)
    return {
        "trainings": len(jobs["train"]),
        "stage_wall_seconds": wall_seconds,
        "stage_cpu_seconds": cpu_seconds,
        "workers": capacity.workers,
        "sweep_seconds": _sweep_seconds(jobs, capacity),
        "unit": capacity.unit,
        "hours": hours,
        "rate": capacity.rate,
        "price": capacity.rate and capacity.rate * hours,
        "disk_bytes": {
            "images": images.stored_bytes,
            "checkpoints": len(config.sweep.seeds) * checkpoints,
        },
    }


def _sweep_seconds(jobs: Mapping[str, list[np.ndarray]], capacity: Capacity) -> float:
    """Return the wall seconds of all jobs.

    A profile on a CPU uses every core, so no job runs beside it.
    """
    parallel, exclusive = list[float](), float(OTHER_SECONDS)
    for stage in STAGES:
        wall = [seconds[0] for seconds in jobs[stage]]
        if stage == "profile" and not capacity.on_gpus:
            exclusive += sum(wall)
        else:
            parallel += wall
    return makespan(parallel, capacity.workers) + exclusive


def _job_seconds(
    config: Config, measured: Mapping[str, list[CellRecord]], images: ImageCounts
) -> dict[str, list[np.ndarray]]:
    jobs: dict[str, list[np.ndarray]] = {stage: [] for stage in STAGES}
    training, runtime = config.training, config.system.training
    for cells in filter(None, measured.values()):
        jobs["profile"].append(profile_seconds(cells, config.system.profiling))
        for cell in cells * len(config.sweep.seeds):
            jobs["train"].append(training_seconds(cell, training, runtime, images))
            jobs["evaluate"].append(evaluation_seconds(config, cell, cells, images))
            if config.explainability.enabled:
                jobs["explain"].append(
                    explanation_seconds(cell, training.batch_size, config.explainability)
                )
    return jobs


def process_seconds(record: CellRecord) -> np.ndarray:
    """Return the start-up plus shutdown time of a process: wall and CPU seconds."""
    return np.array(record["startup_seconds"]) + record.get("end_seconds", 0.0)


def training_seconds(
    record: CellRecord, training: Training, runtime: Runtime, images: ImageCounts
) -> np.ndarray:
    """Return the time of one training with all its epochs, start-up and saving."""
    step = np.array(record["step_seconds"])
    image = np.array(record["val_image_seconds"])
    save = np.array(record["save_seconds"])
    epoch = images.train / training.batch_size * step + images.val * image
    # Any epoch may turn out to be one of the best.
    if training.save_top_k:
        epoch = epoch + save
    trained = training.epochs * epoch
    # Autosaving takes a bounded share of the time, so large states are saved less often.
    interval = max(runtime.save_every_seconds, OPTIMIZER_STATES * save[0] / AUTOSAVE_SHARE)
    states = trained[0] // interval
    # Two more saves: results are written first and then published.
    return process_seconds(record) + trained + (2 + OPTIMIZER_STATES * states) * save


def evaluation_seconds(
    config: Config, record: CellRecord, cells: Iterable[CellRecord], images: ImageCounts
) -> np.ndarray:
    """Return the time of scoring one run at the resolutions of all `cells`; rough, as batches differ."""
    # Every run is tested at every resolution, its own and all others.
    cells, evaluation = list(cells), config.evaluation
    forward = np.sum([cell["val_image_seconds"] for cell in cells], axis=0)
    num_images = len(evaluation.modes) * (images.val + images.test)
    if "bn" in evaluation.modes:
        num_images += min(evaluation.bn_images or images.train, images.train)
    seconds = process_seconds(record) + num_images * forward
    if "finetune" in evaluation.modes:
        # The gradient reaches the first BatchNorm, so a step costs what it costs in training.
        step = np.sum([cell["step_seconds"] for cell in cells], axis=0)
        steps = images.train / config.training.batch_size
        seconds = seconds + evaluation.finetune.epochs * steps * step
    return seconds


def explanation_seconds(
    record: CellRecord, batch_size: int, explainability: Explainability
) -> np.ndarray:
    """Return the time of explaining one run; rough, as a training step stands for a gradient."""
    methods, sanity = explainability.methods, explainability.sanity
    gradients = sum(_gradients(method, explainability) for method in methods)
    # The sanity check explains its images as trained, and again in every draw.
    explained = explainability.images + (sanity.draws + 1) * sanity.images
    faithfulness = explainability.faithfulness
    # Beside the methods: the random order, and the order from the centre.
    curves = faithfulness.images * len(faithfulness.bandwidths) * (len(methods) + 2)
    step = np.array(record["step_seconds"]) / batch_size
    forward = np.array(record["val_image_seconds"])
    return (
        process_seconds(record)
        + explained * gradients * step
        + FAITHFULNESS_VIEWS * curves * forward
    )


def _gradients(method: str, explainability: Explainability) -> int:
    samples = {
        "integrated_gradients": explainability.ig_steps,
        "smoothgrad": explainability.smoothgrad_samples,
        "occlusion": OCCLUSION_GRADIENTS,
    }
    return samples.get(method, 1)


def profile_seconds(cells: list[CellRecord], profiling: Profiling) -> np.ndarray:
    """Return the time of profiling one model; rough, as rounds are added where they disagree."""
    measured = profiling.warmup_seconds + profiling.rounds * profiling.round_seconds
    shapes = 2 * len(profiling.variants) * len(cells)  # one image, and a batch
    threads = np.array([1, profiling.cpu_threads])
    exports = len(cells) * len(set(profiling.variants) & set(RUNTIME_VARIANTS))
    return process_seconds(cells[0]) + exports * EXPORT_SECONDS + shapes * measured * threads


def add_image_memory(
    record: CellRecord, resolution: int, images: ImageCounts, crops_native: bool
) -> dict[str, float]:
    """Return peak_memory_mib and peak_rss_mib of a training, with its images if they stay in memory."""
    pixels = resolution**2 * (images.train + images.val)
    if crops_native:
        # The file of native images has all splits.
        native = images.native_side**2 * (images.train + images.val + images.test)
        pixels = native + resolution**2 * images.val
    size = 3 * pixels / MIB
    # Larger datasets stay in memory-mapped files, whose pages the kernel may drop.
    resident = size if size <= RESIDENT_SHARE * record["device_memory_mib"] else 0.0
    return {name: record[name] + resident for name in ("peak_memory_mib", "peak_rss_mib")}


def _fits(record: CellRecord, peak_memory_mib: float, config: Config) -> str:
    # The measuring process halved the micro-batch until a step fitted.
    if record["micro_batch"] != config.training.micro_batch:
        return f"in micro-batches of {record['micro_batch']}"
    context_mib, memory_mib = record.get("context_mib", 0), record["device_memory_mib"]
    peak_mib, slots = peak_memory_mib + context_mib, config.system.slots_per_gpu
    if context_mib and config.system.training.gpus == 1 and slots > 1:
        return "yes" if peak_mib <= memory_mib / slots else f"not in one of {slots} slots"
    return "yes" if peak_mib <= memory_mib else "tightly"


def checkpoint_bytes(record: CellRecord, training: Training) -> int:
    """Return the bytes of the checkpoints of one run."""
    # Beside best.safetensors, which every run has.
    kept = min(training.save_top_k, training.epochs)
    optimizers = kept * training.save_optimizer
    return int((1 + kept) * record["weights_bytes"] + optimizers * record["optimizer_bytes"])


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Return the wall seconds of jobs on so many workers, the longest job first."""
    # Longest first is at most a third above the optimum (Graham 1969). The heap holds the times
    # at which workers become free: the next job goes to the first of them.
    busy_until = [0.0] * workers
    for duration in sorted(seconds, reverse=True):
        heapreplace(busy_until, busy_until[0] + duration)
    return max(busy_until)
