"""Where a sweep stands, as people read it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar, get_args

from resomap.status.jobs import MEASURED, Job, Place, keeps_state, reached
from resomap.status.summary import Left, Status
from resomap.text import align_columns, format_count, format_duration
from resomap.workflow.layout import JobState, last_line

Item = TypeVar("Item")
MOST = 12
"""Jobs that are named one by one."""
DRIVERS = {
    "here": "Snakemake is at work.",
    "elsewhere": "Snakemake holds the lock of this directory: it is at work on another machine, unless it was killed there.",
    "killed": "Snakemake was killed: `snakemake --unlock`, then the same command goes on.",
    "none": "Snakemake is not at work.",
}


def status_lines(status: Status) -> Iterator[str]:
    """Counts of every stage, what runs and since when, what failed and why, and the time that it took and will take."""
    sweep = status.config.sweep
    grid = [
        format_count(len(values), word)
        for values, word in (
            (sweep.models, "model"),
            (sweep.resolutions, "resolution"),
            (sweep.seeds, "seed"),
        )
    ]
    yield f"{status.config.experiment.name}: {' x '.join(grid)}, {format_count(len(status.jobs), 'job')} in {Path.cwd()}"
    yield DRIVERS[status.driver]
    yield from ("", *_counts(status))
    yield from _section(
        "running", [_running(job, status.now) for job in status.of("", "running")]
    )
    yield from _section(
        "failed (the same command tries again)", _failed(status.of("", "failed"))
    )
    yield from _section(
        "interrupted (the same command goes on)",
        [_interrupted(job) for job in status.of("", "interrupted")],
    )
    yield from _section("ended without a result", _without_result(status))
    yield from ("", *_times(status))


def _counts(status: Status) -> Iterator[str]:
    states = [
        state
        for state in get_args(JobState)
        if state in ("done", "waiting") or status.of("", state)
    ]
    names = list(dict.fromkeys(job.stage for job in status.jobs))
    rows = [[name, *(f"{len(status.of(name, state)):,}" for state in states)] for name in names]
    every = ["all", *(f"{len(status.of('', state)):,}" for state in states)]
    return align_columns(
        [
            ["", *states],
            *([cell if cell != "0" else "-" for cell in row] for row in [*rows, every]),
        ]
    )


def _section(title: str, entries: list[str]) -> Iterator[str]:
    if entries:
        yield from ("", title, *(f"  {entry}" for entry in entries[:MOST]))
        if len(entries) > MOST:
            yield f"  and {len(entries) - MOST:,} more"


def _running(job: Job, now: float) -> str:
    epochs = reached(job.log)
    told = (
        f"{epochs[0]} of {epochs[1]} epochs, "
        if epochs
        else "in its first epoch, "
        if job.stage == "train"
        else ""
    )
    return f"{job.stage}{named(job.place)}: {told}{_since(job.since, now)}"


def _since(since: float, now: float) -> str:
    began, age = datetime.fromtimestamp(since), timedelta(seconds=now - since)
    return f"since {began:{'%H:%M' if age < timedelta(hours=20) else '%Y-%m-%d %H:%M'}} ({format_duration(age.total_seconds())})"


def _failed(jobs: list[Job]) -> list[str]:
    """A reason a line, the places under it: one cause makes many jobs fail alike."""
    groups = _grouped(((job.stage, last_line(job.log)), job) for job in jobs)
    return [_failure(stage, reason, group) for (stage, reason), group in groups.items()]


def _failure(stage: str, reason: str, jobs: list[Job]) -> str:
    kept = sum(map(keeps_state, jobs))
    goes_on = f"; {format_count(kept, 'saved state')} to go on from" if kept else ""
    return f"{stage}{_places(job.place for job in jobs)}: {reason or 'its log says nothing'}\n    {jobs[0].log}{goes_on}"


def _interrupted(job: Job) -> str:
    epochs = reached(job.log)
    told = f"after {epochs[0]} of {epochs[1]} epochs, " if epochs else ""
    return f"{job.stage}{named(job.place)}: {told}{'its state is saved' if keeps_state(job) else 'it begins anew'}"


def _without_result(status: Status) -> list[str]:
    ended = [
        ((told["status"], told["reason"]), place)
        for place, told in status.endings.items()
        if told["status"] != "ok"
    ]
    return [
        f"{word}:{_places(group)} ({reason})"
        for (word, reason), group in _grouped(ended).items()
    ]


def _grouped(
    pairs: Iterable[tuple[tuple[str, str], Item]],
) -> dict[tuple[str, str], list[Item]]:
    groups = defaultdict[tuple[str, str], list[Item]](list)
    for key, item in pairs:
        groups[key].append(item)
    return dict(groups)


def _places(places: Iterable[Place]) -> str:
    first, *others = map(named, places)
    return f"{first} and {len(others):,} more" if others else first


def named(place: Place) -> str:
    """` tiny_cnn 48 px seed 0`, as far as the place has them."""
    _, model, resolution, seed = place
    return "".join(
        [
            f" {model}" * bool(model),
            f" {resolution} px" * (resolution >= 0),
            f" seed {seed}" * (seed >= 0),
        ]
    )


def _times(status: Status) -> Iterator[str]:
    hours, total = status.hours, sum(status.hours.values())
    if hours:
        told = ", ".join(f"{stage} {_hours(spent, total)}" for stage, spent in hours.items())
        untimed = [
            stage for stage in MEASURED if stage not in hours and status.of(stage, "done")
        ]
        without = (
            f"; without {', '.join(untimed)}, of which Snakemake kept no times"
            if untimed
            else ""
        )
        yield f"took {_hours(total, total)} {status.unit} hours of jobs that are done ({told}{without})"
    if len(status.of("", "done")) < len(status.jobs):
        yield _left(status.left, len(status.of("", "running")))


def _hours(hours: float, of: float) -> str:
    return f"{hours:,.{2 if of >= 1 else 4}f}"


def _left(left: Left, at_once: int) -> str:
    if not left.planned + left.averaged:
        return "left: not known; `resomap plan` tells, or the first jobs of a model and resolution do"
    bases = {
        "as planned": left.planned,
        "as the finished ones of their model and resolution": left.averaged,
        "not counted": left.unknown,
    }
    told = ", ".join(
        f"{format_count(number, 'job')} {basis}" for basis, number in bases.items() if number
    )
    at_least = "at least " if left.unknown else "about "
    together = (
        f"with {format_count(at_once, 'job')} at once, as now"
        if at_once
        else "one job after the other"
    )
    return f"left: {at_least}{format_duration(left.seconds / (at_once or 1))} {together} (an estimate: {told})"
