"""From what was measured of its cells to what a sweep will take: arithmetic alone.

Durations are arrays of two: seconds on the wall, and CPU seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapreplace
from typing import Any

import numpy as np

from resomap.config.schema import Architecture, Config, Explainability, Profiling, Runtime
from resomap.config.training import Training

MIB = 2**20
STAGES = ("train", "evaluate", "explain", "profile")
INNER_VIEWS = (
    6  # of a picture that faithfulness blurs: three shares of its area, deleted and inserted
)
OCCLUDED = 48  # gradients that 144 forward passes without one are worth
AUTOSAVE_SHARE = 0.02  # as training.autosave, which loads torch
RESIDENT_SHARE = 0.5  # as data.residency, which loads torch
STATE = 3  # a state of AdamW over its weights

Record = Mapping[str, Any]
"""Of a cell, as training.steps.measure_cells tells it; with end_seconds, what its process took to end, unless it was killed."""


@dataclass(frozen=True)
class Pictures:
    """How many there are of each split, in how many classes, and the bytes of all of them as they are stored."""

    train: int
    val: int
    test: int
    classes: int
    stored_bytes: int


@dataclass(frozen=True)
class Terms:
    """How many jobs run at once, whether each is on a GPU of its own, and the price of an hour of a GPU or a core, if it is known."""

    workers: int
    on_gpus: bool
    rate: float | None

    @property
    def unit(self) -> str:
        """What is paid for by the hour."""
        return "GPU" if self.on_gpus else "core"


def forecast_cells(
    config: Config, model: Architecture, records: Mapping[int, Record], pictures: Pictures
) -> list[dict[str, Any]]:
    """A training of each cell: step_ms, train_images_per_second, wall_seconds, cpu_seconds, peaks of memory; none where it does not fit.

    `beside` has the wall seconds of its other jobs; the profile's are those of the whole model.
    """
    fitting = [record for record in records.values() if record["status"] == "ok"]
    return [
        _forecast_cell(config, model, resolution, record, fitting, pictures)
        for resolution, record in records.items()
    ]


def _forecast_cell(
    config: Config,
    model: Architecture,
    resolution: int,
    record: Record,
    cells: list[Record],
    pictures: Pictures,
) -> dict[str, Any]:
    cell = {
        "family": model.family,
        "model": model.name,
        "resolution": resolution,
        "architecture": model.model_dump(mode="json"),
    }
    if record["status"] != "ok":
        return {**cell, "status": record["status"], "fits": "no", "reason": record["reason"]}
    wall, cpu = training_seconds(record, config.training, config.system.training, pictures)
    peaks = with_pictures(record, resolution, pictures)
    step = record["step_seconds"][0]
    return {
        **cell,
        "status": "ok",
        "fits": _fits(record, peaks["peak_memory_mib"], config.training.micro_batch),
        "step_ms": 1e3 * step,
        "train_images_per_second": config.training.batch_size / step,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "beside": {
            stage: seconds[0]
            for stage, seconds in _beside(config, record, cells, pictures).items()
        },
        **peaks,
    }


def forecast_sweep(
    config: Config, measured: Mapping[str, list[Record]], pictures: Pictures, terms: Terms
) -> dict[str, Any]:
    """Seconds of each stage, hours and their price, and bytes on disk, of the cells that are `measured` a model and fit."""
    jobs = _jobs(config, measured, pictures)
    spent = {stage: sum(jobs[stage], start=np.zeros(2)) for stage in STAGES}
    alone = 0.0 if terms.on_gpus else spent["profile"][0]  # on every core
    beside = [
        wall
        for stage in STAGES
        if terms.on_gpus or stage != "profile"
        for wall, _ in jobs[stage]
    ]
    hours = sum(wall if terms.on_gpus else cpu for wall, cpu in spent.values()) / 3600
    checkpoints = sum(
        checkpoint_bytes(record, config.training)
        for records in measured.values()
        for record in records
    )
    return {
        "trainings": len(jobs["train"]),
        "stage_wall_seconds": {stage: wall for stage, (wall, _) in spent.items()},
        "stage_cpu_seconds": {stage: cpu for stage, (_, cpu) in spent.items()},
        "workers": terms.workers,
        "sweep_seconds": makespan(beside, terms.workers) + alone,
        "unit": terms.unit,
        "hours": hours,
        "rate": terms.rate,
        "price": terms.rate and terms.rate * hours,
        "disk_bytes": {
            "pictures": pictures.stored_bytes,
            "checkpoints": len(config.sweep.seeds) * checkpoints,
        },
    }


def _beside(
    config: Config, record: Record, cells: list[Record], pictures: Pictures
) -> dict[str, np.ndarray]:
    return {
        "evaluate": evaluation_seconds(record, cells, pictures),
        "explain": explanation_seconds(
            record, config.training.batch_size, config.explainability
        ),
        "profile": profile_seconds(cells, config.system.profiling),
    }


def _jobs(
    config: Config, measured: Mapping[str, list[Record]], pictures: Pictures
) -> dict[str, list[np.ndarray]]:
    """What each job of each stage takes."""
    jobs: dict[str, list[np.ndarray]] = {stage: [] for stage in STAGES}
    for cells in filter(None, measured.values()):
        jobs["profile"].append(profile_seconds(cells, config.system.profiling))
        for cell in cells * len(config.sweep.seeds):
            jobs["train"].append(
                training_seconds(cell, config.training, config.system.training, pictures)
            )
            jobs["evaluate"].append(evaluation_seconds(cell, cells, pictures))
            if config.explainability.enabled:
                jobs["explain"].append(
                    explanation_seconds(cell, config.training.batch_size, config.explainability)
                )
    return jobs


def process_seconds(record: Record) -> np.ndarray:
    """Of starting a process of this work and of ending it."""
    return np.array(record["startup_seconds"]) + record.get("end_seconds", 0.0)


def training_seconds(
    record: Record, recipe: Training, runtime: Runtime, pictures: Pictures
) -> np.ndarray:
    """Of one training with all its epochs, start-up and saving."""
    step, picture, save = (
        np.array(record[f"{name}_seconds"]) for name in ("step", "val_picture", "save")
    )
    epoch = pictures.train / recipe.batch_size * step + pictures.val * picture
    trained = recipe.epochs * (epoch + (save if recipe.save_top_k else 0))
    states = trained[0] // max(runtime.save_every_seconds, STATE * save[0] / AUTOSAVE_SHARE)
    return (
        process_seconds(record) + trained + (2 + STATE * states) * save
    )  # 2: finished first, then published


def evaluation_seconds(
    record: Record, cells: Iterable[Record], pictures: Pictures
) -> np.ndarray:
    """Of scoring one run at the resolutions of all `cells`; rough, since its batches are others."""
    forward = np.sum([cell["val_picture_seconds"] for cell in cells], axis=0)
    return process_seconds(record) + (pictures.val + pictures.test) * forward


def explanation_seconds(
    record: Record, batch_size: int, explainability: Explainability
) -> np.ndarray:
    """Of explaining one run; rough, since a step of training stands for the gradient of each map."""
    gradients = sum(_gradients(method, explainability) for method in explainability.methods)
    explained = (
        explainability.images + (explainability.sanity.draws + 1) * explainability.sanity.images
    )
    faithfulness = explainability.faithfulness
    views = (
        INNER_VIEWS
        * faithfulness.images
        * len(faithfulness.bandwidths)
        * (len(explainability.methods) + 2)
    )
    step, forward = (
        np.array(record["step_seconds"]) / batch_size,
        np.array(record["val_picture_seconds"]),
    )
    return process_seconds(record) + explained * gradients * step + views * forward


def _gradients(method: str, explainability: Explainability) -> int:
    samples = {
        "integrated_gradients": explainability.ig_steps,
        "smoothgrad": explainability.smoothgrad_samples,
        "occlusion": OCCLUDED,
    }
    return samples.get(method, 1)


def profile_seconds(cells: list[Record], profiling: Profiling) -> np.ndarray:
    """Of profiling one network at every resolution; rough, since rounds go on where they disagree."""
    measured = profiling.warmup_seconds + profiling.rounds * profiling.round_seconds
    shapes = 2 * len(profiling.variants) * len(cells)  # one picture, and a batch
    return process_seconds(cells[0]) + shapes * measured * np.array([1, profiling.cpu_threads])


def with_pictures(record: Record, resolution: int, pictures: Pictures) -> dict[str, float]:
    """peak_memory_mib and peak_rss_mib of a training, the pictures included where they will be in memory."""
    size = 3 * resolution**2 * (pictures.train + pictures.val) / MIB
    resident = size if size <= RESIDENT_SHARE * record["device_memory_mib"] else 0.0
    return {name: record[name] + resident for name in ("peak_memory_mib", "peak_rss_mib")}


def _fits(record: Record, peak_memory_mib: float, micro_batch: int | None) -> str:
    if record["micro_batch"] != micro_batch:
        return f"in parts of {record['micro_batch']}"
    return "yes" if peak_memory_mib <= record["device_memory_mib"] else "tightly"


def checkpoint_bytes(record: Record, recipe: Training) -> int:
    """On disk, of one run."""
    kept = min(recipe.save_top_k, recipe.epochs)
    return int(
        (1 + kept) * record["weights_bytes"]
        + kept * recipe.save_optimizer * record["optimizer_bytes"]
    )


def makespan(seconds: Iterable[float], workers: int) -> float:
    """Wall seconds of jobs on so many workers, the longest first."""
    free = [0.0] * workers
    for each in sorted(seconds, reverse=True):
        heapreplace(free, free[0] + each)
    return max(free)
