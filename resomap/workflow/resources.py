"""What a job asks of who schedules it: GPUs, processors, minutes, memory.

On one machine that is Snakemake, which counts slots of GPUs and heeds nothing else; on a cluster each job gets an allocation of its own.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Any

from resomap.config.schema import Config
from resomap.system.files import read_json
from resomap.system.gpus import SLOTS_VARIABLE
from resomap.workflow.data_digest import named_data
from resomap.workflow.layout import artifact
from resomap.workflow.targets import gpus_wanted, swept_models

PLAN = Path(artifact("plan").path)
UNPLANNED_MINUTES, UNPLANNED_MB = (
    240,
    8192,
)  # a training that ends too early goes on from its last state, and asks for more
TABLES_MB = 4096  # of jobs that no plan speaks of: they hold tables, or a few pictures
MOST = 3  # times what the first attempt asks for
SMALL_MINUTES = (
    10  # planned, with the margin: starting a job on a cluster costs half a minute of it
)
LEAD_SECONDS = 60  # for a step and a save of gigabytes; SLURM may take another minute


@dataclass(frozen=True)
class Requests:
    """What the jobs of a sweep ask for; `on_cluster` says whether each will get an allocation of its own."""

    config: Config
    on_cluster: Callable[[], bool]

    def training(self) -> dict[str, Any]:
        """Its GPUs in one node, a core for each process and each thread that prepares batches, and a signal to save before time is up."""
        runtime = self.config.system.training
        helpers = runtime.num_workers if self.config.system.device != "cpu" else 0
        placed = self._there(
            nodes=1
            if runtime.gpus > 1
            else None,  # a number is added up over the jobs of a group
            cpus_per_task=runtime.gpus * (1 + helpers),
            slurm_extra=f"--signal=TERM@{LEAD_SECONDS}",
        )
        return self.on_gpus("train", runtime.gpus) | placed

    def on_gpus(self, stage: str, gpus: int = 1) -> dict[str, Any]:
        """A job of a run: its GPUs, or a slot of one; and the one place that its allocation has for jobs of a group."""
        shared = gpus == 1 and self.config.system.slots_per_gpu > 1
        shard = "shard:1" if shared and self.config.system.device != "cpu" else None
        return {
            "gpu": self._gpus(gpus, shared),
            **self._there(gres=shard, slot=1),
            **self.planned(stage),
        }

    def alone(self) -> dict[str, Any]:
        """A profile: all slots of a GPU, and nobody else on the machine."""
        return {
            "gpu": self._gpus(1, shared=False),
            **self._there(slurm_extra="--exclusive"),
            **self.planned("profile"),
        }

    def planned(self, stage: str) -> dict[str, Any]:
        """Minutes (half as long again as planned, and 5) and MB of memory, more after a failure; plenty where there is no plan."""
        return {"runtime": self._minutes(stage), "mem_mb": self._memory()}

    def plain(self, minutes: int) -> dict[str, Any]:
        """A job that no plan speaks of: `minutes` and memory for tables, more after a failure."""
        return {
            "runtime": lambda wildcards, attempt: _scaled(minutes, attempt),
            "mem_mb": lambda wildcards, attempt: _scaled(TABLES_MB, attempt),
        }

    def bundle(self, stage: str) -> Callable[[Any], str | None]:
        """The group `small` for jobs that are planned to be short; a cluster gets several of them as one job."""
        minutes = self._minutes(stage)
        return lambda wildcards: "small" if minutes(wildcards, 1) <= SMALL_MINUTES else None

    def _gpus(self, gpus: int, shared: bool) -> Callable[[Any], int]:
        slots = 1 if shared else gpus * self.config.system.slots_per_gpu

        def count(_: Any) -> int:
            if not self.on_cluster():
                return gpus_wanted(self.config) * slots
            return 0 if shared or self.config.system.device == "cpu" else gpus

        return count

    def _there(self, **asked: int | str | None) -> dict[str, Callable[[Any], int | str | None]]:
        """What is asked of a cluster alone."""

        def only_there(value: int | str | None) -> Callable[[Any], int | str | None]:
            return lambda _: value if self.on_cluster() else None

        return {name: only_there(value) for name, value in asked.items()}

    def _minutes(self, stage: str) -> Callable[[Any, int], int]:
        def minutes(wildcards: Any, attempt: int) -> int:
            cell = self._cell(wildcards)
            return _scaled(
                ceil(1.5 * _seconds(cell, stage) / 60 + 5) if cell else UNPLANNED_MINUTES,
                attempt,
            )

        return minutes

    def _memory(self) -> Callable[[Any, int], int]:
        def memory(wildcards: Any, attempt: int) -> int:
            cell = self._cell(wildcards)
            return _scaled(
                ceil(1.3 * cell["peak_rss_mib"] + 1024) if cell else UNPLANNED_MB, attempt
            )

        return memory

    def _cell(self, wildcards: Any) -> dict[str, Any] | None:
        return self._plan.get(
            (wildcards.model, getattr(wildcards, "resolution", self._largest))
        )

    @cached_property
    def _largest(self) -> str:
        return str(max(self.config.sweep.resolutions))

    @cached_property
    def _plan(self) -> Mapping[tuple[str, str], dict[str, Any]]:
        return {
            (cell["model"], str(cell["resolution"])): cell
            for cell in planned_cells(self.config)
        }


def planned_cells(config: Config) -> list[dict[str, Any]]:
    """The cells of the plan that fit, where it is of these trainings; else none."""
    told = read_json(PLAN) if PLAN.exists() else {}
    if told.get("of") != what_is_planned(config):
        return []
    swept = {model.name: model.model_dump(mode="json") for model in swept_models(config)}
    return [
        cell
        for cell in told["cells"]
        if cell["status"] == "ok" and cell["architecture"] == swept.get(cell["model"])
    ]


def what_is_planned(config: Config) -> dict[str, Any]:
    """What the cells of a plan have in common, as plan.json holds it: another recipe, other pictures or other evidence want another plan."""
    parts = {
        "training": config.training,
        "data": named_data(config),
        "explainability": config.explainability,
    }
    return {
        name: part.model_dump(mode="json")
        for name, part in {**parts, "profiling": config.system.profiling}.items()
    }


def share_gpus(config: Config) -> None:
    """Tell the jobs into how many slots a GPU is divided."""
    os.environ[SLOTS_VARIABLE] = str(config.system.slots_per_gpu)


def _seconds(cell: Mapping[str, Any], stage: str) -> float:
    return float(cell["wall_seconds"] if stage == "train" else cell["beside"][stage])


def _scaled(first: int, attempt: int) -> int:
    return min(attempt, MOST) * first
