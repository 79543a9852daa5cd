"""The resources that jobs request: GPUs, processors, minutes, memory.

On one machine the scheduler is Snakemake, which counts slots of GPUs and ignores everything else; on a
cluster each job, or group of jobs, gets an allocation of its own. There, a guess or a margin never
exceeds what a node of the job's partition has; a measured need is requested as it is.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf
from pathlib import Path
from typing import Any

from resomap.cluster.nodes import Limits
from resomap.config.schema import Config
from resomap.errors import DataError
from resomap.system.files import read_json
from resomap.system.gpu_listing import has_nvidia_device
from resomap.system.gpus import SLOTS_VARIABLE
from resomap.workflow.artifact_paths import RESULTS_FOLDER, file_in
from resomap.workflow.data_digest import data_settings, read_user_files
from resomap.workflow.layout import artifact
from resomap.workflow.targets import swept_models

# Not workflow.cores, which raises where no cores are given (SLURM profile, --report).
ALL_CORES = 1024
"""More threads than any machine has: Snakemake caps them at its cores."""
LARGE_DATASET = 20_000
"""Images from which one resize uses every core; smaller ones are done sooner side by side."""
PLAN = Path(artifact("plan").path)
# Of runs without a plan. A training that runs out of time resumes from its last state, with a larger request.
UNPLANNED_MINUTES = 240
UNPLANNED_MB = 8192
CPU_JOB_MB = 4096
"""Memory of jobs outside the plan: they hold tables, or a few images at a time."""
# Bounded, because a partition of a cluster has a maximum time (decision 0015).
MAX_SCALE = 3
"""Largest factor by which a retried job requests more than at first."""
MEASUREMENT_MARGIN = 1.5
MARGIN_MINUTES = 5
MEMORY_MARGIN = 1.3
# Includes the two Snakemake processes of a job on a cluster.
MARGIN_MB = 1024
SNAKEMAKE_MB = 200
SMALL_JOB_MINUTES = 10
"""Jobs up to this long share an allocation: starting one on a cluster takes half a minute."""
SIGNAL_SECONDS = 60
"""Time before the limit to finish a step and save gigabytes; SLURM may send the signal up to a minute early."""


@dataclass(frozen=True)
class ResourceRequests:
    """Resources for the rules: values or functions of the wildcards, as Snakemake takes them.

    `on_cluster` returns whether each job gets an allocation of its own, and `site_limits` the most
    that a job of a rule with so many GPUs can get there.
    """

    config: Config
    on_cluster: Callable[[], bool]
    site_limits: Callable[[str, int], Limits] = lambda rule, gpus: Limits()
    results: Path = RESULTS_FOLDER

    def cores(self, most: int) -> Callable[..., int]:
        """Return `most`, and on a cluster no more than a node of the rule's partition has."""
        return lambda wildcards, rulename="": int(min(most, self._limits(rulename).cores))

    def training_job(self) -> dict[str, Any]:
        """Return the request of a training: its GPUs in one node, and cores for its processes.

        On a cluster it is sent SIGTERM before its time is up, so that it can save its state.
        """
        runtime = self.config.system.training
        workers = runtime.num_workers if self.config.system.device != "cpu" else 0
        cluster_only = self._on_cluster_only(
            # Only where it is needed: Snakemake adds up the nodes of the jobs of a group.
            nodes=1 if runtime.gpus > 1 else None,
            # No `tasks`: the plugin then started the command twice (its issues 316, 459).
            cpus_per_task=runtime.gpus * (1 + workers),
            # TERM reaches the command; `B:TERM` and `USR1` lose the grace period or the output.
            slurm_extra=f"--signal=TERM@{SIGNAL_SECONDS}",
        )
        return self.gpu_job("train", runtime.gpus) | cluster_only

    def gpu_job(self, stage: str, gpus: int = 1) -> dict[str, Any]:
        """Return the request of a job of one run: `gpus` GPUs, or one slot of a GPU."""
        shared = gpus == 1 and self.config.system.slots_per_gpu > 1
        shard = "shard:1" if shared and self.config.system.device != "cpu" else None
        return {
            "gpu": self._gpu_slots(gpus, shared),
            # One slot in all: jobs of a group run one after another in their allocation.
            **self._on_cluster_only(gres=shard, slot=1),
            **self._planned(stage, gpus),
        }

    def exclusive_job(self) -> dict[str, Any]:
        """Return the request of a profile: a whole GPU, and a machine without other jobs."""
        return {
            "gpu": self._gpu_slots(1, shared=False),
            **self._on_cluster_only(slurm_extra="--exclusive"),
            **self._planned("profile"),
        }

    def cpu_job(self, minutes: int) -> dict[str, Any]:
        """Return the request of a job outside the plan: `minutes` and little memory, more in a retry."""

        def runtime(wildcards: Any, attempt: int, rulename: str = "") -> int:
            return _scale(minutes, attempt, self._limits(rulename).minutes)

        def memory(wildcards: Any, attempt: int, rulename: str = "") -> int:
            return _scale(CPU_JOB_MB, attempt, self._limits(rulename).memory_mb)

        return {"runtime": runtime, "mem_mb": memory}

    def small_group(self, stage: str) -> Callable[[Any], str | None]:
        """Return a group function: `small` for jobs planned to be short, which share an allocation."""
        # By the plan and not by the rule: long jobs must not run in turn in one allocation.
        minutes = self._minutes(stage)
        return lambda wildcards: "small" if minutes(wildcards, 1) <= SMALL_JOB_MINUTES else None

    def _gpu_slots(self, gpus: int, shared: bool) -> Callable[[Any], int]:
        slots = 1 if shared else gpus * self.config.system.slots_per_gpu

        def count(_: Any) -> int:
            if not self.on_cluster():
                return gpus_per_job(self.config) * slots
            # A slot is requested as a shard of `gres`; `gpu` would make SLURM give a whole GPU.
            return 0 if shared or self.config.system.device == "cpu" else gpus

        return count

    def _on_cluster_only(
        self, **request: int | str | None
    ) -> dict[str, Callable[[Any], int | str | None]]:
        def value_on_cluster(value: int | str | None) -> Callable[[Any], int | str | None]:
            # A function, since Snakemake knows its executor only after it has read the rules.
            return lambda _: value if self.on_cluster() else None

        return {name: value_on_cluster(value) for name, value in request.items()}

    def _planned(self, stage: str, gpus: int = 1) -> dict[str, Any]:
        return {"runtime": self._minutes(stage, gpus), "mem_mb": self._memory(gpus)}

    def _minutes(self, stage: str, gpus: int = 1) -> Callable[..., int]:
        def minutes(wildcards: Any, attempt: int, rulename: str = "") -> int:
            limit = self._limits(rulename, gpus).minutes
            cell = self._planned_cell(wildcards)
            if cell is None:
                return _scale(UNPLANNED_MINUTES, attempt, limit)
            needed = _stage_seconds(cell, stage) / 60
            first = ceil(MEASUREMENT_MARGIN * needed + MARGIN_MINUTES)
            # A training resumes in its next job, so that no time is too short for it.
            return _scale(first, attempt, limit, 0 if stage == "train" else needed)

        return minutes

    def _memory(self, gpus: int = 1) -> Callable[..., int]:
        def memory(wildcards: Any, attempt: int, rulename: str = "") -> int:
            limit = self._limits(rulename, gpus).memory_mb
            cell = self._planned_cell(wildcards)
            if cell is None:
                return _scale(UNPLANNED_MB, attempt, limit)
            first = ceil(MEMORY_MARGIN * cell["peak_rss_mib"] + MARGIN_MB)
            return _scale(first, attempt, limit, cell["peak_rss_mib"] + SNAKEMAKE_MB)

        return memory

    def _limits(self, rule: str, gpus: int = 0) -> Limits:
        if not self.on_cluster():
            return Limits()
        return self.site_limits(rule, gpus if self.config.system.device != "cpu" else 0)

    def _planned_cell(self, wildcards: Any) -> dict[str, Any] | None:
        # A profile has no resolution: its largest one needs the most memory.
        resolution = getattr(wildcards, "resolution", self._largest_resolution)
        return self._plan.get((wildcards.model, resolution))

    @cached_property
    def _largest_resolution(self) -> str:
        return str(max(self.config.sweep.resolutions))

    @cached_property
    def _plan(self) -> Mapping[tuple[str, str], dict[str, Any]]:
        return {
            (cell["model"], str(cell["resolution"])): cell
            for cell in planned_cells(self.config, self.results)
        }


def planned_cells(config: Config, results: Path = RESULTS_FOLDER) -> list[dict[str, Any]]:
    """Return the cells of results/plan.json that fit, if it is a plan of these trainings."""
    plan = read_plan(results)
    if plan.get("settings") != plan_settings(config):
        return []
    swept = {model.name: model.model_dump(mode="json") for model in swept_models(config)}
    return [
        cell
        for cell in plan["cells"]
        if cell["status"] == "ok" and cell["architecture"] == swept.get(cell["model"])
    ]


def read_plan(results: Path = RESULTS_FOLDER) -> dict[str, Any]:
    """Return the plan; empty without one, or with one that is damaged."""
    path = file_in(results, "plan")
    if not path.exists():
        return {}
    try:
        return dict(read_json(path))
    except (DataError, TypeError, ValueError):
        print(
            f"warning: {path} is damaged and not used: run `resomap plan` again",
            file=sys.stderr,
        )
        return {}


def plan_settings(config: Config) -> dict[str, Any]:
    """Return what a plan depends on beside its models, as plan.json holds it."""
    sections = {
        "training": config.training,
        "data": data_settings(config),
        "explainability": config.explainability,
        "profiling": config.system.profiling,
    }
    return {name: section.model_dump(mode="json") for name, section in sections.items()}


def gpus_per_job(config: Config) -> int:
    """Return the GPUs of a job: none on `cpu`, one on `cuda`; `auto` looks for an NVIDIA device here."""
    # Not 1 on a CPU: a limit of gpu=1 would run a sweep of CPU jobs one by one.
    present = config.system.device == "auto" and has_nvidia_device()
    return int(config.system.device == "cuda" or present)


def resize_threads(config: Config) -> int:
    """Return the processes of one resize: all cores for a large dataset, one for a small one."""
    reef, files = config.data.reef, read_user_files(config)
    if reef:
        num_images = reef.train + reef.val + reef.test
    else:
        # A dataset of torchvision is not counted before it is downloaded.
        num_images = files.num_images if files else LARGE_DATASET
    return 1 if num_images < LARGE_DATASET else ALL_CORES


def share_gpus(config: Config) -> None:
    """Pass the number of slots of each GPU to the jobs, in their environment."""
    os.environ[SLOTS_VARIABLE] = str(config.system.slots_per_gpu)


def _stage_seconds(cell: Mapping[str, Any], stage: str) -> float:
    if stage == "train":
        return float(cell["wall_seconds"])
    return float(cell["other_wall_seconds"][stage])


def _scale(first: int, attempt: int, limit: float = inf, needed: float = 0.0) -> int:
    """Return the request of an attempt: at most `limit`, but never less than what is `needed`."""
    return int(min(min(attempt, MAX_SCALE) * first, max(limit, ceil(needed))))
