"""The jobs of a sweep without Snakemake: each command in a fork of this process.

The fork has the libraries loaded, so that a job takes a tenth of a second instead of five and
thousands of faults can be tried. The commands are those that Snakemake prints.
"""

import importlib
import os
import runpy
import shlex
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from snakemake.cli import main as snakemake_main

from resomap.cli import app
from resomap.config.load import load_config
from resomap.workflow.deploy_layout import DEPLOY_STAGES
from resomap.workflow.job_params import sweep_file
from resomap.workflow.layout import STAGES
from tests.faults.sweep import Ended, Sweep
from tests.workflow.conftest import SMOKE

FORCED_DRY_RUN = ("-n", "-F", "-p")
PYTHON = "python -m "
DEADLINE_SECONDS = 1800.0
Disturb = Callable[[int], None]
"""Called with the process id of a job right after its start."""


@dataclass(frozen=True)
class JobCommand:
    """The command of one job, and its files."""

    module: str
    arguments: tuple[str, ...]
    log: str
    inputs: frozenset[str]
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the job: that of its log."""
        return self.log.removeprefix("logs/").removesuffix(".log")


def list_jobs(sweep: Sweep, *targets: str) -> list[JobCommand]:
    """Return the jobs of a whole sweep, except those of the shell, in an order of running."""
    dry = sweep.run(*FORCED_DRY_RUN, *targets)
    assert dry.code == 0, dry.text
    jobs = [_parse_block(block) for block in dry.text.split("\n\n") if PYTHON in block]
    for job in jobs:
        importlib.import_module(job.module)
    return jobs


def _parse_block(block: str) -> JobCommand:
    fields = dict(_fields(block))
    command = fields["Shell command"].partition(" > ")[0].removeprefix(PYTHON)
    # Of `2>`, as partial reports and copies print to the screen.
    words = shlex.split(command.partition(" 2> ")[0])
    files = {name: tuple(fields.get(name, "").split(", ")) for name in ("input", "output")}
    return JobCommand(
        words[0], tuple(words[1:]), fields["log"], frozenset(files["input"]), files["output"]
    )


def _fields(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, colon, value = line.strip().partition(": ")
        if colon:
            yield name, value


def run_missing(
    sweep: Sweep,
    jobs: list[JobCommand],
    left_out: tuple[str, ...] = (),
    before: Callable[[], None] | None = None,
) -> Ended:
    """Run the jobs whose outputs are missing, and those that read what they made.

    `before` runs in the process of each. The first failure ends it.
    """
    made, texts = set[str](), list[str]()
    for job in jobs:
        if job.name.startswith(left_out):
            continue
        is_missing = any(not (sweep.path / output).exists() for output in job.outputs)
        if not is_missing and not job.inputs & made:
            continue
        ended = run_job(sweep, job, before)
        texts.append(ended.text)
        if ended.code:
            return Ended(ended.code, "\n".join(texts))
        made.update(job.outputs)
    return Ended(0, "\n".join(texts))


def run_job(
    sweep: Sweep,
    job: JobCommand,
    before: Callable[[], None] | None = None,
    disturb: Disturb | None = None,
) -> Ended:
    """Remove the outputs of a job, run it, and return its exit code and its log.

    `before` runs in the job's process; `disturb` in this one, with the job's process id.
    """
    for output in job.outputs:
        with suppress(OSError):  # as on a read-only disk
            (sweep.path / output).unlink(missing_ok=True)
            (sweep.path / output).parent.mkdir(parents=True, exist_ok=True)

    def call() -> None:
        sys.argv = [job.module, *job.arguments]
        if before:
            before()
        runpy.run_module(job.module, run_name="__main__", alter_sys=True)

    code, text = run_forked(sweep.path, call, job.log, disturb)
    if code:
        # Snakemake removes the outputs of a failed job.
        for output in job.outputs:
            with suppress(OSError):
                (sweep.path / output).unlink(missing_ok=True)
    return Ended(code, text)


@dataclass
class ForkedProcess:
    """A fork of this process that runs a call, with what `subprocess.Popen` offers."""

    pid: int
    log: Path
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait for its end, and kill it after `seconds`: then the code is -SIGALRM."""
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.returncode = -int(signal.SIGALRM)
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode

    def output(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def run_forked(
    directory: Path, call: Callable[[], object], log: str, disturb: Disturb | None = None
) -> Ended:
    """Run `call` in a fork that works in `directory`, its output in `log` below it."""
    process = start_forked(directory, call, log)
    if disturb:
        disturb(process.pid)
    code = process.wait()
    return Ended(code, process.output())


def start_forked(directory: Path, call: Callable[[], object], log: str) -> ForkedProcess:
    """Start `call` in a fork that works in `directory`, its output in `log` below it."""
    path = directory / log
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which wait here
        pid = os.fork()
    if not pid:
        _become_job(directory, call, path)
    return ForkedProcess(pid, path)


def start_snakemake(sweep: Sweep, *arguments: str, log: str = "output.txt") -> ForkedProcess:
    """Start Snakemake by the function behind its command; its jobs are processes as ever."""

    def call() -> None:
        sys.argv = ["snakemake", *sweep.command(*arguments)[1:]]
        os.environ.pop("PYTHONPATH", None)
        snakemake_main(sys.argv[1:])

    return start_forked(sweep.path, call, log)


MODULES = "modules.txt"
"""File of a directory in which forks leave the names of what they have imported."""


def load_all(sweep: Sweep, jobs: list[JobCommand]) -> None:
    """Run every job and `resomap status` once, and import here what they import."""
    (sweep.path / MODULES).touch()
    for job in jobs:
        if job.outputs != ("",):
            run_job(sweep, job)
    run_resomap(sweep, "status")
    _import_noted(sweep)


def preload(sweep: Sweep) -> None:
    """Import what a dry run and a check import, and compute the digests of the code."""

    def dry_run() -> None:
        sys.argv = ["snakemake", *sweep.command("-n")[1:]]
        snakemake_main(sys.argv[1:])

    (sweep.path / MODULES).touch()
    for call in (dry_run, lambda: app(["check", "--configfile", SMOKE])):
        ended = run_forked(sweep.path, call, "preload.log")
        assert ended.code == 0, ended.text
    _import_noted(sweep)


def _import_noted(sweep: Sweep) -> None:
    names = (sweep.path / MODULES).read_text().split()
    (sweep.path / MODULES).unlink()
    for name in dict.fromkeys(names):
        # Some are made by others and cannot be imported by themselves.
        with suppress(Exception):
            importlib.import_module(name)
    config = load_config(sweep.path / "config", [sweep.path / SMOKE])
    for stage in ("tables", "figures", "report"):
        sweep_file(config, stage)


def _note_imports() -> None:
    if Path(MODULES).exists():
        with Path(MODULES).open("a") as stream:
            stream.write("\n".join([*sys.modules, ""]))


def _become_job(directory: Path, call: Callable[[], object], log: Path) -> None:
    """Call, and end this process with the exit code."""
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        # Warnings are errors in tests, and not in the processes of users.
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        # Of pytest these are objects in memory.
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        os.setsid()
        os.chdir(directory)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        call()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        _note_imports()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def remove_from(
    sweep: Sweep, first: str, wildcards: dict[str, str], kept: tuple[str, ...] = ()
) -> None:
    """Remove the marker of one job of the stage `first`, and of every later one but `kept`."""
    names = [stage.name for stage in STAGES]
    for stage in STAGES[names.index(first) :]:
        if stage.name not in ("sweep", "track", *kept) and stage not in DEPLOY_STAGES:
            (sweep.path / stage.marker.format(**wildcards)).unlink(missing_ok=True)


def restore(sweep: Sweep, original: Sweep) -> None:
    """Give a directory the results and logs of another one."""
    for name in ("results", "logs"):
        shutil.rmtree(sweep.path / name, ignore_errors=True)
        if (original.path / name).exists():
            shutil.copytree(original.path / name, sweep.path / name, copy_function=shutil.copy2)


def run_resomap(sweep: Sweep, *arguments: str) -> Ended:
    """Run a `resomap` command in the directory of a sweep."""
    return run_forked(sweep.path, lambda: app(list(arguments)), "resomap.log")
