"""Kills at random moments: of Snakemake, of a running job, of both, over a whole sweep.

One directory is killed and resumed until it is finished; then its results must equal those of
an undisturbed sweep. So a kill costs seconds, and it meets every state that earlier kills left.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from resomap.workflow.layout import artifact
from tests.faults.forked_jobs import ForkedProcess, preload, start_snakemake
from tests.faults.sweep import (
    NOTHING_TO_DO,
    TIMEOUT_SECONDS,
    Sweep,
    differences,
    finished_sweep,
    leftovers,
    new_sweep,
)
from tests.faults.trials import TRACEBACK, Trial, Verdict, first_message, trial_rng

# Longer than any job of the sweep takes to start and to end, so that all of them are reached.
MAX_SECONDS = 20.0
TARGETS = ("Snakemake", "a running job", "Snakemake and its jobs")
SIGNALS = (signal.SIGKILL,) * 4 + (signal.SIGTERM, signal.SIGINT)
UNLOCKS_BY_HAND = 10
MAX_FAILURES = 3
"""Calls of the same command, none of them disturbed, after which results count as lost."""
SAME_BYTES = "the same command resumes; results equal to the byte"


def tracebacks(text: str) -> list[str]:
    """Return the last line of every traceback in `text`."""
    ends = []
    for part in text.split(TRACEBACK)[1:]:
        lines = [line for line in part.splitlines()[1:] if line and line[0] not in " \t"]
        ends.append(lines[0] if lines else "")
    return ends


def is_interrupt(end: str) -> bool:
    """Return whether a traceback with this end is that of Ctrl-C, as Snakemake prints some."""
    return end.startswith(("KeyboardInterrupt", "asyncio.exceptions.CancelledError"))


@dataclass
class Disturbance:
    """A directory that is killed and resumed, and the Snakemake that runs in it, if one does."""

    sweep: Sweep
    process: ForkedProcess | None = None
    disturbed: bool = False
    failures: int = 0
    traceback: str = ""

    @property
    def pending(self) -> Path:
        """Path of the kills of this directory, kept until its results are compared."""
        return self.sweep.path / "kills.json"

    def kills(self) -> list[tuple[int, str]]:
        """Return number and fault of every kill since the directory was empty."""
        if not self.pending.exists():
            return []
        return [(number, fault) for number, fault in json.loads(self.pending.read_bytes())]

    def resume(self) -> None:
        """Start the command again unless it still runs, after `--unlock` where that is needed."""
        if self.process is not None and self.process.poll() is None:
            return
        self.note_end()
        if self.sweep.is_locked():
            self.unlock()
        self.process, self.disturbed = start_snakemake(self.sweep), False

    def unlock(self) -> None:
        """Do what Snakemake tells its user after it was killed, now and then by its command."""
        if len(self.kills()) % UNLOCKS_BY_HAND == 0:
            self.sweep.run("--unlock")
        # All that `--unlock` does, without the start of a Snakemake.
        shutil.rmtree(self.sweep.path / ".snakemake/locks", ignore_errors=True)

    def note_end(self) -> None:
        """Count an end with an error that no kill explains, and keep tracebacks."""
        if self.process is None or self.process.returncode == 0:
            return
        self.failures = 0 if self.disturbed else self.failures + 1
        self.keep_traceback()

    def keep_traceback(self) -> None:
        """Keep where a traceback was printed."""
        text = self.sweep.output()
        places = self.sweep.logs_with_traceback()
        if not places and any(not is_interrupt(each) for each in tracebacks(text)):
            places = ["output of Snakemake"]
        if places:
            name = f"traceback-{len(self.kills())}.txt"
            logs = [(self.sweep.path / place) for place in places]
            texts = [text, *(log.read_text() for log in logs if log.is_file())]
            (self.sweep.path / name).write_text("\n".join(texts), encoding="utf-8")
            self.traceback = f"{places[0]}, see {name}"

    def kill(self, number: int, rng: Random) -> bool:
        """Kill at a random moment; return False if the sweep ended before."""
        target, signum = rng.choice(TARGETS), rng.choice(SIGNALS)
        moment = time.monotonic() + rng.uniform(0, MAX_SECONDS)
        assert self.process is not None
        while time.monotonic() < moment and self.process.poll() is None:
            time.sleep(0.02)
        victims = self.victims(target, rng)
        if not victims:
            return False
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signum)
        self.disturbed = True
        fault = f"{signum.name} to {target}"
        self.pending.write_text(json.dumps([*self.kills(), (number, fault)]))
        if target != "a running job":
            self.process.wait(TIMEOUT_SECONDS)
        return True

    def victims(self, target: str, rng: Random) -> list[int]:
        """Return the processes to kill; wait for a running job if that is the target."""
        assert self.process is not None
        while self.process.poll() is None:
            jobs = self.running_jobs()
            if target == "Snakemake":
                return [self.process.pid]
            if target == "a running job" and jobs:
                return [rng.choice(jobs)]
            if target == "Snakemake and its jobs":
                return [self.process.pid, *jobs]
            time.sleep(0.02)
        return []

    def running_jobs(self) -> list[int]:
        """Return the jobs, without the forks in which they measure memory."""
        assert self.process is not None
        # The fork that is Snakemake has the command of the campaign.
        jobs = {
            process.pid: process.parent
            for process in self.sweep.processes()
            if process.is_job and process.pid != self.process.pid
        }
        return [pid for pid, parent in jobs.items() if parent not in jobs]

    def wait(self) -> None:
        """Wait for the command, and for jobs that a killed Snakemake left behind."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline and self.sweep.processes():
            time.sleep(0.1)
        if self.process is not None:
            self.process.wait(TIMEOUT_SECONDS)

    def has_ended(self) -> bool:
        """Whether the command has ended well without a kill, or failed too often without one."""
        if self.failures >= MAX_FAILURES:
            return True
        return self.process is not None and self.process.poll() == 0 and not self.disturbed

    def verdict(self, undisturbed: Sweep) -> tuple[Verdict, str]:
        """Return what became of the directory."""
        if self.failures >= MAX_FAILURES:
            return "lost", first_message(self.sweep.output())
        self.wait()
        self.keep_traceback()
        if self.traceback:
            return "traceback", self.traceback
        dry = self.sweep.run("-n")
        if dry.code or NOTHING_TO_DO not in dry.text:
            return "lost", f"a finished sweep would run again: {first_message(dry.text)}"
        left = self.leftovers()
        if left:
            return "lost", f"left behind: {left[0]}"
        found = differences(undisturbed, self.sweep)
        if found:
            return "silent", found[0]
        return "survived", SAME_BYTES

    def leftovers(self) -> list[str]:
        """Return the temporary files that the next sweep does not remove, either."""
        if leftovers(self.sweep):
            # Snakemake may have been killed between its last job and the end of the sweep.
            (self.sweep.path / artifact("report").path).unlink()
            self.sweep.run()
        return leftovers(self.sweep)


def run_kills(seed: int, numbers: list[int], folder: Path) -> Iterator[Trial]:
    """Kill sweeps below `folder`, and yield the trials of each when it has ended."""
    undisturbed = finished_sweep(folder / "undisturbed")
    preload(undisturbed)
    state = _open_directory(folder / "killed")
    counted = {number for number, _ in state.kills()}
    try:
        for number in numbers:
            if number in counted:
                continue
            rng = trial_rng("kills", seed, number)
            while not _is_killed(state, number, rng):
                if state.has_ended():
                    yield from _conclude(state, undisturbed, seed)
                    state = _open_directory(state.sweep.path)
        while not state.has_ended():
            state.resume()
            state.wait()
        yield from _conclude(state, undisturbed, seed)
    finally:
        state.sweep.end_processes()


def _open_directory(path: Path) -> Disturbance:
    """Return the directory that an earlier campaign left, or an empty one."""
    is_left = (path / "kills.json").exists()
    state = Disturbance(Sweep(path) if is_left else new_sweep(path))
    state.sweep.end_processes()
    state.pending.write_text(json.dumps(state.kills()))
    return state


def _is_killed(state: Disturbance, number: int, rng: Random) -> bool:
    state.resume()
    return state.failures < MAX_FAILURES and state.kill(number, rng)


def _conclude(state: Disturbance, undisturbed: Sweep, seed: int) -> Iterator[Trial]:
    """Yield the trials of an ended directory and remove it, unless it shows a fault."""
    kills = state.kills()
    if kills:
        verdict, seen = state.verdict(undisturbed)
        for number, fault in kills:
            yield Trial("kills", fault, number, seed, verdict, seen)
        if verdict != "survived":
            kept = state.sweep.path.with_name(f"{verdict}-{kills[-1][0]}")
            state.sweep.path.rename(kept)
    shutil.rmtree(state.sweep.path, ignore_errors=True)
