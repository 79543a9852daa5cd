"""The time that a grid takes, from steps measured on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from resomap.config.load import build_config, merge
from resomap.config.schema import Config
from resomap.plan.forecast import Capacity, CellRecord, ImageCounts, forecast_sweep
from resomap.plan.measure import (
    count_images,
    detect_machine,
    measure_cells_of_model,
    measurement_jobs,
    resolve_capacity,
)
from resomap.plan.table import BUSY_RATIO
from resomap.suggest.grid import Grid
from resomap.suggest.values import QUICK
from resomap.workflow.targets import swept_models

MARGIN = 1.5
"""Planned over estimated time: other work on the machine, and what is not measured.

Four sweeps on a busy machine took 1.3 to 1.8 times the estimate (docs/LOG.md).
"""


@dataclass(frozen=True)
class MeasuredCells:
    """Measured steps of every cell of the full grid, and what a forecast needs beside them."""

    config: Config
    records: dict[str, dict[int, CellRecord]]
    images: ImageCounts
    capacity: Capacity

    def seconds(self, grid: Grid) -> float:
        """Return the wall seconds that a sweep of this grid takes; infinite where a cell does not fit."""
        rows = [self._cells(model, grid) for model in grid.models]
        if any(record["status"] != "ok" for row in rows for record in row):
            return inf
        measured = dict(zip(grid.models, rows, strict=True))
        totals = forecast_sweep(self.vary(grid), measured, self.images, self.capacity)
        return MARGIN * float(totals["sweep_seconds"])

    @property
    def was_busy(self) -> bool:
        """Return whether steps took much longer than the CPU worked on them."""
        if self.capacity.on_gpus:
            return False
        cells = [record for sides in self.records.values() for record in sides.values()]
        steps = [record["step_seconds"] for record in cells if record["status"] == "ok"]
        wall, cpu = np.sum(steps, axis=0) if steps else (0.0, 0.0)
        return bool(wall > BUSY_RATIO * cpu)

    def _cells(self, model: str, grid: Grid) -> list[CellRecord]:
        return [self.records[model][side] for side in grid.resolutions]

    @cached_property
    def _quick(self) -> Config:
        """Return the configuration with the sections of a quick sweep."""
        sections = self.config.model_dump(mode="json", include=set(QUICK))
        built = build_config(merge(sections, QUICK))
        return self.config.model_copy(update={name: getattr(built, name) for name in QUICK})

    def vary(self, grid: Grid) -> Config:
        """Return the configuration with the size of a grid."""
        config = self._quick if grid.quick else self.config
        sweep = config.sweep.model_copy(
            update={
                "models": grid.models,
                "resolutions": grid.resolutions,
                "seeds": tuple(range(grid.seeds)),
            }
        )
        training = config.training.model_copy(update={"epochs": grid.epochs})
        return config.model_copy(update={"sweep": sweep, "training": training})


def measure(config: Config, log: Callable[[str], None]) -> MeasuredCells:
    """Measure a training step of each cell of a sweep, once for a recipe."""
    machine, images = detect_machine(config), count_images(config)
    names = dict(zip(swept_models(config), config.sweep.models, strict=True))
    records = {
        names[job.architecture]: measure_cells_of_model(job, log)
        for job in measurement_jobs(config, machine, images)
    }
    capacity = resolve_capacity(machine, None, None, None)
    return MeasuredCells(config, records, images, capacity)
