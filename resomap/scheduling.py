"""What a job asks a scheduler for: GPUs, minutes, memory."""

import os
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import Any

from resomap.devices import SLOTS
from resomap.files import read_json
from resomap.identity import named_data
from resomap.sections import Config
from resomap.workflow import gpus_wanted, swept_models

PLAN = Path("results/plan.json")
UNPLANNED_MINUTES, UNPLANNED_MB = 240, 8192  # a training that ends too early goes on from its last state, and asks for more
MOST_MEMORY = 3  # times what the first attempt asks for


def gpu_slots(config: Config, gpus: int = 1, *, alone: bool = False) -> int:
    """What a job counts for against `--resources gpu=`: a slot of a GPU, or all slots of each of its GPUs."""
    slots = config.system.slots_per_gpu if alone or gpus > 1 else 1
    return gpus_wanted(config) * gpus * slots


def share_gpus(config: Config) -> None:
    """Tell the jobs into how many slots a GPU is divided."""
    os.environ[SLOTS] = str(config.system.slots_per_gpu)


def train_runtime(config: Config, plan: Path = PLAN) -> Callable[[Any, int], int]:
    """Minutes that a training asks a scheduler for, each attempt more: half as long again as planned, and 5."""
    planned = _planned(config, plan)

    def minutes(wildcards: Any, attempt: int) -> int:
        cell = planned.get((wildcards.model, wildcards.resolution))
        return attempt * (ceil(1.5 * cell["wall_seconds"] / 60 + 5) if cell else UNPLANNED_MINUTES)

    return minutes


def train_memory(config: Config, plan: Path = PLAN) -> Callable[[Any, int], int]:
    """MB of the machine's memory that a training asks a scheduler for, up to three times as many after failures."""
    planned = _planned(config, plan)

    def memory(wildcards: Any, attempt: int) -> int:
        cell = planned.get((wildcards.model, wildcards.resolution))
        return min(attempt, MOST_MEMORY) * (ceil(1.3 * cell["peak_rss_mib"] + 1024) if cell else UNPLANNED_MB)

    return memory


def what_is_planned(config: Config) -> dict[str, Any]:
    """What the cells of a plan have in common, as plan.json holds it: another recipe or other pictures want another plan."""
    return {"training": config.training.model_dump(mode="json"), "data": named_data(config).model_dump(mode="json")}


def _planned(config: Config, plan: Path) -> Mapping[tuple[str, str], dict[str, Any]]:
    """The cells that fit, by model and resolution, where `plan` is of these trainings."""
    told = read_json(plan) if plan.exists() else {}
    if told.get("of") != what_is_planned(config):
        return {}
    swept = {model.name: model.model_dump(mode="json") for model in swept_models(config)}
    cells = [cell for cell in told["cells"] if cell["status"] == "ok" and cell["architecture"] == swept.get(cell["model"])]
    return {(cell["model"], str(cell["resolution"])): cell for cell in cells}
