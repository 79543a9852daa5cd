"""Whole processes, as a user's shell would start them, and what each took: seconds on the wall and seconds of CPU, children included."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Any

from resomap.config.load import build_config, merge, read_yaml
from resomap.config.schema import CONFIG_FILES, Config
from resomap.workflow import jobs
from resomap.workflow.job_params import ENTRY_POINTS

ROOT = Path(__file__).parent.parent
STARTED = "RESOMAP_BENCHMARK_STARTED"


@dataclass(frozen=True)
class Cost:
    """What processes that were started together took until the last one ended, and what they printed."""

    wall: float
    cpu: float
    output: str


def measure(*commands: Sequence[str]) -> Cost:
    """Run `commands` side by side from the root of the repository; what fails ends the benchmark with its output."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]
        started = monotonic()
        environment[STARTED] = repr(started)
        running = [
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            for command, log in zip(commands, logs, strict=True)
        ]
        cpu = sum(_wait(process) for process in running)
        wall = monotonic() - started
        outputs = [_read(log) for log in logs]
    for process, output in zip(running, outputs, strict=True):
        if process.returncode:
            sys.exit(
                f"{' '.join(map(str, process.args))[:500]}\n{output[-3000:]}\nexit status {process.returncode}"
            )
    return Cost(wall, cpu, "".join(outputs))


def _wait(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process, and of every child that it waited for, when it has ended."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _read(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")


def module(name: str, *arguments: Any, python: str = sys.executable) -> list[str]:
    """The command that runs a module of this repository."""
    return [python, "-m", name, *map(str, arguments)]


def job_command(job: jobs.Job, **arguments: Any) -> list[str]:
    """The command of a rule: the entry point of `job`, and one `--name` an argument."""
    command = module(job_module(type(job)), "--job", job.to_json())
    for name, value in arguments.items():
        command += [
            f"--{name.replace('_', '-')}",
            *map(str, value if isinstance(value, list) else [value]),
        ]
    return command


def job_module(kind: type[jobs.Job]) -> str:
    """The module of the entry point that does jobs of `kind`."""
    return ".".join(ENTRY_POINTS[kind].relative_to(ROOT).with_suffix("").parts)


def shipped_config(*changes: dict[str, Any]) -> Config:
    """The configuration in config/, with `changes` on top."""
    values: dict[str, Any] = {}
    for name in CONFIG_FILES:
        values = merge(values, read_yaml(ROOT / "config" / f"{name}.yaml"))
    for change in changes:
        values = merge(values, change)
    return build_config(values)
