"""A plan as people read it."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from resomap.data.store.disk_space import GIB
from resomap.text import format_count, format_duration
from resomap.workflow.resources import PLAN

HEAD = ("model", "px", "step ms", "images/s", "s a training", "CPU s", "peak MiB", "fits")
BUSY = 1.3  # wall over CPU seconds of trainings that have a core each
ALSO = {"evaluate": "evaluation", "explain": "explanation", "profile": "profiles"}


def plan_lines(plan: dict[str, Any]) -> Iterator[str]:
    """The cells as a table, then what the sweep takes."""
    yield from _aligned([HEAD, *map(_row, plan["cells"])])
    for cell in plan["cells"]:
        if cell["status"] != "ok":
            yield f"does not fit: {cell['model']} at {cell['resolution']} px: {cell['reason']}"
    recipe, pictures = plan["of"]["training"], plan["pictures"]
    stopping = ", fewer where they stop early" if recipe["early_stopping"] else ""
    work = f"{format_count(recipe['epochs'], 'epoch')} of {pictures['train']:,} pictures{stopping}, {format_count(plan['seeds'], 'seed')}"
    yield f"measured on {plan['machine']}; {work}"
    yield from _totals(plan["totals"])
    yield f"written to {PLAN}: trainings ask a scheduler for this time and memory, with a margin"


def _row(cell: dict[str, Any]) -> Sequence[str]:
    place = (cell["model"], str(cell["resolution"]))
    if cell["status"] != "ok":
        return (*place, *[""] * 5, cell["fits"])
    rate, memory = f"{cell['train_images_per_second']:,.0f}", f"{cell['peak_memory_mib']:,.0f}"
    return (
        *place,
        f"{cell['step_ms']:.1f}",
        rate,
        f"{cell['wall_seconds']:,.0f}",
        f"{cell['cpu_seconds']:,.0f}",
        memory,
        cell["fits"],
    )


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *numbers, last in rows:
        yield "  ".join([first.ljust(widths[0]), *map(str.rjust, numbers, widths[1:-1]), last])


def _totals(totals: dict[str, Any]) -> Iterator[str]:
    wall, cpu = totals["stage_wall_seconds"], totals["stage_cpu_seconds"]
    on_gpus = totals["unit"] == "GPU"
    yield f"{format_count(totals['trainings'], 'training')}: {format_duration(wall['train'])} one after the other, {cpu['train']:,.0f} CPU seconds"
    yield f"beside them, roughly: {', '.join(f'{name} {format_duration(wall[stage])}' for stage, name in ALSO.items())}"
    together = (
        format_count(totals["workers"], "GPU")
        if on_gpus
        else f"{format_count(totals['workers'], 'job')} at once"
    )
    yield f"in all {totals['hours']:,.2f} {totals['unit']} hours; {format_duration(totals['sweep_seconds'])} with {together}"
    if not on_gpus and wall["train"] > BUSY * cpu["train"]:
        yield "this machine was busy meanwhile, so times on the wall are too long; when it is idle, remove results/.plan and plan again"
    if totals["price"] is not None:
        yield f"price: {totals['price']:,.2f} at {totals['rate']:g} a {totals['unit']} hour"
    pictures, checkpoints = (
        totals["disk_bytes"][part] / GIB for part in ("pictures", "checkpoints")
    )
    free = shutil.disk_usage(Path()).free / GIB
    yield f"disk: {pictures:,.2f} GiB for pictures and {checkpoints:,.2f} GiB for checkpoints, of {free:,.0f} GiB free"
