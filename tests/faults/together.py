"""Two Snakemakes at once, a partial report beside a sweep, files that go, a moved directory."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

from resomap.workflow.layout import STAGES
from tests.faults.damage import RUN
from tests.faults.forked_jobs import preload, remove_from, start_snakemake
from tests.faults.sweep import Sweep, differences, finished_sweep
from tests.faults.trials import TRACEBACK, Trial, Verdict, first_message, trial_rng

STAGES_TRIED = ("resize", "train", "evaluate", "explain", "compare")
MAX_SECONDS = 15.0
MAX_CALLS = 3
Disturbed = tuple[Verdict, str, Sweep]
"""What happened so far, what the user sees, and the sweep that goes on."""
Disturbance = Callable[[Sweep, Random], Disturbed]


def _wait_at_random(sweep: Sweep, rng: Random) -> None:
    time.sleep(rng.uniform(1, MAX_SECONDS))


def _second_snakemake(sweep: Sweep, rng: Random) -> Disturbed:
    """Start a second Snakemake, which must be refused while the first one runs."""
    first = start_snakemake(sweep)
    _wait_at_random(sweep, rng)
    second = start_snakemake(sweep, *(["--nolock"] * rng.randrange(2)), log="second.txt")
    second.wait()
    text = second.output()
    first.wait()
    if TRACEBACK in text:
        return "traceback", first_message(text), sweep
    return "survived", "`Directory cannot be locked`, or with `--nolock` both go on", sweep


def _partial_report(sweep: Sweep, rng: Random) -> Disturbed:
    first = start_snakemake(sweep)
    _wait_at_random(sweep, rng)
    report = start_snakemake(sweep, "partial_report", "--nolock", log="partial.txt")
    code, text = report.wait(), report.output()
    first.wait()
    if TRACEBACK in text:
        return "traceback", first_message(text), sweep
    if code:
        return "lost", first_message(text), sweep
    return "survived", "the page of the results so far", sweep


def _deleted_results(sweep: Sweep, rng: Random) -> Disturbed:
    """Delete a file or a folder of results while jobs run."""
    first = start_snakemake(sweep)
    _wait_at_random(sweep, rng)
    found = sorted(path for path in (sweep.path / "results").rglob("*") if path.name[0] != ".")
    gone = rng.choice(found)
    shutil.rmtree(gone, ignore_errors=True)
    with suppress(OSError):
        gone.unlink()
    first.wait()
    text = first.output()
    if TRACEBACK in text or sweep.logs_with_traceback():
        return "traceback", f"{gone.relative_to(sweep.path)}: {first_message(text)}", sweep
    return (
        "survived",
        "an error that names the file, or nothing; the same command makes it again",
        sweep,
    )


def _moved_directory(sweep: Sweep, rng: Random) -> Disturbed:
    first = start_snakemake(sweep)
    _wait_at_random(sweep, rng)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    sweep.end_processes()
    moved = sweep.path.with_name("moved")
    shutil.rmtree(moved, ignore_errors=True)
    if rng.random() < 0.5:
        sweep.path.rename(moved)
    else:
        shutil.copytree(sweep.path, moved, copy_function=shutil.copy2)
    seen = "the same command goes on in the new place"
    return "survived", seen, Sweep(moved)


DISTURBANCES: dict[str, Disturbance] = {
    "a second Snakemake": _second_snakemake,
    "a partial report beside a sweep": _partial_report,
    "results deleted under a sweep": _deleted_results,
    "a moved or copied directory": _moved_directory,
}


def run_together(seed: int, numbers: list[int], folder: Path) -> Iterator[Trial]:
    """Disturb copies of a finished sweep below `folder`, resumed at a random stage."""
    undisturbed = finished_sweep(folder / "undisturbed")
    preload(undisturbed)
    names = list(DISTURBANCES)
    for number in numbers:
        name, rng = names[number % len(names)], trial_rng("together", seed, number)
        sweep = undisturbed.copy_to(folder / "disturbed")
        stage = rng.choice(STAGES_TRIED)
        remove_from(sweep, stage, RUN, tuple(STAGES_KEPT))
        try:
            verdict, seen, going_on = DISTURBANCES[name](sweep, rng)
            if verdict == "survived":
                verdict, seen = _finish(undisturbed, going_on, seen)
        finally:
            sweep.end_processes()
        yield Trial("together", name, number, seed, verdict, seen, stage)


STAGES_KEPT = [stage.name for stage in STAGES if stage.name in ("profile", "figures", "report")]
"""Costs are measured and figures drawn only where what they are made of has changed."""


def _finish(undisturbed: Sweep, sweep: Sweep, seen: str) -> tuple[Verdict, str]:
    """Run the same command until it ends well, and compare the results."""
    for _ in range(MAX_CALLS):
        shutil.rmtree(sweep.path / ".snakemake/locks", ignore_errors=True)
        process = start_snakemake(sweep)
        code, text = process.wait(), process.output()
        if TRACEBACK in text or sweep.logs_with_traceback():
            return "traceback", first_message(text)
        if code == 0:
            found = _request_images(sweep, undisturbed)
            return ("silent", found[0]) if found else ("survived", seen)
    return "lost", first_message(text)


def _request_images(sweep: Sweep, undisturbed: Sweep) -> list[str]:
    """Return the differences, after image files that no job needed any more are requested.

    The same command does not make these again: all trainings would follow.
    """
    found = differences(undisturbed, sweep)
    names = [each.partition(":")[0] for each in found if each.endswith("present -> absent")]
    gone = [f"results/{name}" for name in names if name.startswith("data/")]
    if not gone:
        return found
    start_snakemake(sweep, *gone).wait()
    return differences(undisturbed, sweep)
