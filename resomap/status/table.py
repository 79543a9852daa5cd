"""The status of a sweep as text for the command line."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar, get_args

from resomap.cluster.queue import describe_held_jobs
from resomap.status.jobs import TIMED_STAGES, JobKey, JobStatus, has_saved_state, read_progress
from resomap.status.remaining import RemainingWork
from resomap.status.summary import SweepStatus
from resomap.system.logs import last_line
from resomap.text import align_columns, format_count, format_duration
from resomap.workflow.layout import JobState

Item = TypeVar("Item")
MAX_ENTRIES = 12
"""Jobs that are listed one by one."""
ALWAYS_SHOWN: tuple[JobState, ...] = ("done", "waiting")
RECENT = timedelta(hours=20)
"""Age up to which a time is given without its date."""
SNAKEMAKE_STATES = {
    "here": "Snakemake is running.",
    "elsewhere": "Snakemake is running on another machine, or was killed there: then run "
    "`snakemake --unlock`, and the same command to resume.",
    "killed": "Snakemake was killed: run `snakemake --unlock`, then the same command to resume.",
    "none": "Snakemake is not running.",
}
CONTINUES = "The command that started the sweep continues it."


def status_lines(status: SweepStatus) -> Iterator[str]:
    """Yield the counts of every stage, running and failed jobs, and the time used and remaining."""
    sweep = status.config.sweep
    counts = {"model": sweep.models, "resolution": sweep.resolutions, "seed": sweep.seeds}
    grid = " x ".join(format_count(len(values), noun) for noun, values in counts.items())
    jobs = format_count(len(status.jobs), "job")
    yield f"{status.config.experiment.title}: {grid}, {jobs} in {Path.cwd()}"
    yield _snakemake_line(status)
    yield from ("", *_counts(status))
    held = ["\n    ".join(lines) for lines in describe_held_jobs(status.held)]
    yield from _section("in SLURM's queue, but cannot start", held)
    stale = _stale(status.select("", "stale"))
    yield from _section("stale (the same command runs them again)", stale)
    running = [_running(job, status.now) for job in status.select("", "running")]
    yield from _section("running", running)
    failed = _failures(status.select("", "failed"))
    yield from _section("failed (the same command retries)", failed)
    interrupted = list(map(_interrupted, status.select("", "interrupted")))
    yield from _section("interrupted (the same command resumes)", interrupted)
    yield from _section("ended without a result", _without_result(status))
    yield from ("", *_times(status))


def _snakemake_line(status: SweepStatus) -> str:
    line = SNAKEMAKE_STATES[status.snakemake]
    done = len(status.select("", "done"))
    if status.snakemake != "none" or done == 0:
        return line
    return f"{line} {'Every job is done.' if done == len(status.jobs) else CONTINUES}"


def _counts(status: SweepStatus) -> Iterator[str]:
    counts = Counter((job.stage, job.state) for job in status.jobs)
    totals = Counter(job.state for job in status.jobs)
    states = [state for state in get_args(JobState) if totals[state] or state in ALWAYS_SHOWN]
    rows = [("", *states)]
    for stage in dict.fromkeys(job.stage for job in status.jobs):
        rows.append(_row(stage, [counts[stage, state] for state in states]))
    rows.append(_row("all", [totals[state] for state in states]))
    return align_columns(rows)


def _row(label: str, counts: list[int]) -> tuple[str, ...]:
    # A dash for 0, so that the numbers stand out.
    return (label, *(f"{count:,}" if count else "-" for count in counts))


def _section(title: str, entries: list[str]) -> Iterator[str]:
    if entries:
        yield from ("", title)
        for entry in entries[:MAX_ENTRIES]:
            yield f"  {entry}"
        if len(entries) > MAX_ENTRIES:
            yield f"  and {len(entries) - MAX_ENTRIES:,} more"


def _running(job: JobStatus, now: float) -> str:
    epochs = read_progress(job.log)
    progress = ""
    if epochs:
        progress = f"{epochs[0]} of {format_count(epochs[1], 'epoch')}, "
    elif job.stage == "train":
        progress = "in its first epoch, "
    return f"{job}: {progress}{_since(job.since, now)}"


def _since(since: float, now: float) -> str:
    start, age = datetime.fromtimestamp(since), timedelta(seconds=now - since)
    pattern = "%H:%M" if age < RECENT else "%Y-%m-%d %H:%M"
    return f"since {start:{pattern}} ({format_duration(age.total_seconds())})"


def _stale(jobs: list[JobStatus]) -> list[str]:
    groups = _group(((job.stage, job.problem), job) for job in jobs)
    return [
        f"{stage} {_name_first(job.key for job in group)}".strip() + f": {problem}"
        for (stage, problem), group in groups.items()
    ]


def _failures(jobs: list[JobStatus]) -> list[str]:
    """Return one entry per reason."""
    # Grouped, because one cause often makes many jobs fail.
    groups = _group(((job.stage, last_line(job.log)), job) for job in jobs)
    return [_failure(stage, reason, group) for (stage, reason), group in groups.items()]


def _failure(stage: str, reason: str, jobs: list[JobStatus]) -> str:
    names = f"{stage} {_name_first(job.key for job in jobs)}".strip()
    entry = f"{names}: {reason or 'its log is empty'}\n    {jobs[0].log}"
    saved = sum(map(has_saved_state, jobs))
    if saved:
        entry += f"; {format_count(saved, 'saved state')} to resume from"
    return entry


def _interrupted(job: JobStatus) -> str:
    epochs, parts = read_progress(job.log), []
    if epochs:
        parts.append(f"after {epochs[0]} of {format_count(epochs[1], 'epoch')}")
    if has_saved_state(job):
        parts.append("its state is saved")
    else:
        parts.append("it starts again")
    return f"{job}: {', '.join(parts)}"


def _without_result(status: SweepStatus) -> list[str]:
    ended = []
    for key, metrics in status.metrics.items():
        if metrics["status"] != "ok":
            ended.append(((metrics["status"], metrics["reason"]), key))
    entries = []
    for (word, reason), keys in _group(ended).items():
        entries.append(f"{word}: {_name_first(keys)} ({reason})")
    return entries


def _group(pairs: Iterable[tuple[tuple[str, str], Item]]) -> dict[tuple[str, str], list[Item]]:
    groups = defaultdict[tuple[str, str], list[Item]](list)
    for key, item in pairs:
        groups[key].append(item)
    return dict(groups)


def _name_first(keys: Iterable[JobKey]) -> str:
    first, *others = map(str, keys)
    if not others:
        return first
    return f"{first} and {len(others):,} more"


def _times(status: SweepStatus) -> Iterator[str]:
    hours = status.hours
    if hours:
        unit, factor, digits = _time_unit(sum(hours.values()))
        spent = {stage: f"{factor * value:,.{digits}f}" for stage, value in hours.items()}
        parts = ", ".join(f"{stage} {time}" for stage, time in spent.items())
        # Of the jobs of a cluster Snakemake does not record when they began.
        finished = {job.stage for job in status.select("", "done")}
        untimed = [stage for stage in TIMED_STAGES if stage in finished - hours.keys()]
        if untimed:
            parts += f"; Snakemake recorded no times for {', '.join(untimed)}"
        total = f"{factor * sum(hours.values()):,.{digits}f}"
        yield f"Finished jobs took {total} {status.unit} {unit} ({parts})."
    if len(status.select("", "done")) < len(status.jobs):
        yield _remaining(status.remaining, len(status.select("", "running")))


def _time_unit(hours: float) -> tuple[str, float, int]:
    """Return the unit that reads best, how many of it an hour has, and the digits after the point."""
    if hours >= 2:
        return "hours", 1.0, 1
    return ("minutes", 60.0, 1) if hours >= 1 / 30 else ("seconds", 3600.0, 0)


def _remaining(work: RemainingWork, running: int) -> str:
    if not work.planned + work.averaged:
        return (
            "Remaining time: not known until the first jobs of a model and resolution finish, "
            "or `resomap plan` measures them."
        )
    bases = {
        "from the plan": work.planned,
        "from finished jobs of the same model and resolution": work.averaged,
    }
    counts = [f"{format_count(each, 'job')} {basis}" for basis, each in bases.items() if each]
    estimate = f"estimated for {', '.join(counts)}"
    if work.unknown:
        estimate += f"; without {format_count(work.unknown, 'job')} of unknown length"
    # An estimate of some jobs is a lower bound for all.
    bound = "at least" if work.unknown else "about"
    duration = format_duration(work.seconds / (running or 1))
    together = "if one job runs after the other"
    if running:
        together = f"with {format_count(running, 'job')} at once, as now"
    return f"Remaining time: {bound} {duration} {together} ({estimate})."
