"""The plan as text for the command line."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from resomap.text import format_bytes, format_count, format_duration
from resomap.workflow.resources import PLAN

HEADER = ("model", "px", "step ms", "images/s", "s a training", "CPU s", "peak MiB", "fits")
BUSY_RATIO = 1.3
"""Wall over CPU seconds above which trainings did not have a core each."""
OTHER_STAGES = {"evaluate": "evaluation", "explain": "explanation", "profile": "profiles"}


def plan_lines(plan: dict[str, Any]) -> Iterator[str]:
    """Yield the cells as a table, then the totals of the sweep."""
    yield from _aligned([HEADER, *map(_row, plan["cells"])])
    for cell in plan["cells"]:
        if cell["status"] != "ok":
            name = f"{cell['model']} at {cell['resolution']} px"
            yield f"does not fit: {name}: {cell['reason']}"
    yield f"measured on {plan['machine']}; {_work(plan)}"
    yield from _totals(plan["totals"])
    yield f"written to {PLAN}: trainings request this time and memory, with a margin"


def _work(plan: dict[str, Any]) -> str:
    training = plan["settings"]["training"]
    epochs = format_count(training["epochs"], "epoch")
    images = format_count(plan["images"]["train"], "image")
    work = f"{epochs} of {images}"
    if training["early_stopping"]:
        work += ", fewer with early stopping"
    return f"{work}, {format_count(plan['seeds'], 'seed')}"


def _row(cell: dict[str, Any]) -> Sequence[str]:
    name = (cell["model"], str(cell["resolution"]))
    if cell["status"] != "ok":
        return (*name, *[""] * 5, cell["fits"])
    return (
        *name,
        f"{cell['step_ms']:.1f}",
        f"{cell['train_images_per_second']:,.0f}",
        f"{cell['wall_seconds']:,.0f}",
        f"{cell['cpu_seconds']:,.0f}",
        f"{cell['peak_memory_mib']:,.0f}",
        cell["fits"],
    )


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *numbers, last in rows:
        yield "  ".join([first.ljust(widths[0]), *map(str.rjust, numbers, widths[1:-1]), last])


def _totals(totals: dict[str, Any]) -> Iterator[str]:
    wall, cpu = totals["stage_wall_seconds"], totals["stage_cpu_seconds"]
    on_gpus = totals["unit"] == "GPU"
    trainings = format_count(totals["trainings"], "training")
    seconds = f"{format_duration(wall['train'])} one after the other"
    yield f"{trainings}: {seconds}, {cpu['train']:,.0f} CPU seconds"
    others = (f"{name} {format_duration(wall[stage])}" for stage, name in OTHER_STAGES.items())
    yield f"other jobs, roughly: {', '.join(others)}"
    if on_gpus:
        workers = format_count(totals["workers"], "GPU")
    else:
        workers = f"{format_count(totals['workers'], 'job')} at once"
    hours = f"{totals['hours']:,.2f} {totals['unit']} hours"
    yield f"in all {hours}; {format_duration(totals['sweep_seconds'])} with {workers}"
    # Wall times are those of this machine under load; CPU times are not, and core hours use these.
    if not on_gpus and wall["train"] > BUSY_RATIO * cpu["train"]:
        yield (
            "this machine was busy during the measurement, so wall times are too long; when it is "
            "idle, remove results/.plan and plan again"
        )
    if totals["price"] is not None:
        yield f"price: {totals['price']:,.2f} at {totals['rate']:g} a {totals['unit']} hour"
    yield _disk_space(totals["disk_bytes"])


def _disk_space(disk_bytes: dict[str, int]) -> str:
    images, checkpoints = (format_bytes(disk_bytes[part]) for part in ("images", "checkpoints"))
    free = format_bytes(shutil.disk_usage(Path()).free)
    return f"disk: {images} for images and {checkpoints} for checkpoints, of {free} free"
