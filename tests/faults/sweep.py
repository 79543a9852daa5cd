"""A sweep that the campaign disturbs: the smoke preset in a copy of the repository."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.compare_results import compare_sweeps
from resomap.system.files import TEMPORARY_NAME
from tests.faults.trials import TRACEBACK
from tests.workflow.conftest import SMOKE, copy_repository

TIMEOUT_SECONDS = 1200
# The choice weighs latencies, so that it may differ between two undisturbed sweeps.
NOT_COMPARED = ("tables/choice.json", "tables/answer.json")
NOTHING_TO_DO = "Nothing to be done"


class Ended(NamedTuple):
    """How a command ended: exit code and output."""

    code: int
    text: str


class Process(NamedTuple):
    """A process that works in a sweep's directory."""

    pid: int
    command: list[str]
    parent: int

    @property
    def is_job(self) -> bool:
        """Whether this is the Python of a job."""
        return self.command[1:2] == ["-m"]


@dataclass(frozen=True)
class Sweep:
    """A directory in which `snakemake` runs the smoke sweep, with more files on top."""

    path: Path
    overlays: tuple[str, ...] = ()
    cores: int = 2

    def command(self, *arguments: str) -> list[str]:
        """Return the command of Snakemake."""
        program = str(Path(sys.executable).parent / "snakemake")
        options = ["--cores", str(self.cores), "--configfile", SMOKE, *self.overlays]
        return [program, *arguments, *options]

    def start(
        self,
        *arguments: str,
        prefix: Sequence[str] = (),
        before: Callable[[], None] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start Snakemake, its output in `output.txt`; `before` runs in the child."""
        with (self.path / "output.txt").open("wb") as output:
            return subprocess.Popen(
                [*prefix, *self.command(*arguments)],
                cwd=self.path,
                env=user_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=before,  # noqa: PLW1509 the campaign has no threads
            )

    def run(self, *arguments: str, **options: object) -> Ended:
        """Run Snakemake to its end."""
        process = self.start(*arguments, **options)  # type: ignore[arg-type]
        try:
            process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.end_processes()
            return Ended(-1, f"{self.output()}\nerror: no end after {TIMEOUT_SECONDS} s")
        return Ended(process.returncode, self.output())

    def output(self) -> str:
        """Return the output of the last command."""
        return (self.path / "output.txt").read_text(encoding="utf-8", errors="replace")

    def is_locked(self) -> bool:
        """Whether Snakemake holds its lock, or was killed while it did."""
        return any((self.path / ".snakemake/locks").glob("*"))

    def processes(self) -> list[Process]:
        """Return the live Python processes that work in this directory."""
        return list(_list_processes(self.path.resolve()))

    def end_processes(self) -> None:
        """Kill what still works in this directory."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def copy_to(self, path: Path) -> "Sweep":
        """Return a copy of this directory at `path`, with its file times."""
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.path, path, copy_function=shutil.copy2, symlinks=True)
        return Sweep(path, self.overlays, self.cores)

    def logs_with_traceback(self) -> list[str]:
        """Return the logs of jobs that hold a traceback."""
        logs = sorted((self.path / "logs").rglob("*.log"))
        return [str(log.relative_to(self.path)) for log in logs if _has_traceback(log)]


def user_environment() -> dict[str, str]:
    """Return the environment of a user, without what a test run adds to it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _has_traceback(log: Path) -> bool:
    with suppress(FileNotFoundError):  # Snakemake removes it before it starts the job
        return TRACEBACK in log.read_text(encoding="utf-8", errors="replace")
    return False


def _list_processes(directory: Path) -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):  # it has ended
            command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if (entry / "cwd").readlink() == directory and "python" in command[0]:
                # After the name, which may hold spaces: state and parent.
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                yield Process(int(entry.name), command, int(parent))


def new_sweep(path: Path, overlays: tuple[str, ...] = (), cores: int = 2) -> Sweep:
    """Return a copy of the repository without results."""
    shutil.rmtree(path, ignore_errors=True)
    copy_repository(path)
    return Sweep(path, overlays, cores)


def finished_sweep(path: Path, overlays: tuple[str, ...] = ()) -> Sweep:
    """Return the sweep at `path`; it is run undisturbed if it has not been."""
    sweep = Sweep(path, overlays)
    if not (path / "results/report/index.html").exists():
        sweep = new_sweep(path, overlays)
        ended = sweep.run()
        assert ended.code == 0, ended.text
    return sweep


def differences(undisturbed: Sweep, disturbed: Sweep) -> list[str]:
    """Return where the results differ from those of an undisturbed sweep, times aside."""
    compared = compare_sweeps(undisturbed.path, disturbed.path, {})
    return [
        f"{name}: {difference}"
        for name, found in compared
        for difference in found
        if name not in NOT_COMPARED
    ]


def leftovers(sweep: Sweep) -> list[str]:
    """Return temporary files and states that a finished sweep should not have."""
    found = [
        path
        for path in (sweep.path / "results").rglob("*")
        if path.is_file() and (TEMPORARY_NAME.fullmatch(path.name) or ".state" in path.parts)
    ]
    return [str(path.relative_to(sweep.path)) for path in found]
