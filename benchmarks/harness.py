"""Shared by all benchmarks: processes and calls measured in turns, tables in Markdown pages."""

import argparse
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import IO, Any

from resomap.config.load import build_config, merge, read_yaml
from resomap.config.schema import CONFIG_FILES, Config
from resomap.system.files import write_text
from resomap.workflow import jobs
from resomap.workflow.job_params import ENTRY_POINTS

ROOT = Path(__file__).parents[1]
RATE_HEAD = ("", "images/s", "images a CPU s")


@dataclass(frozen=True)
class ProcessCost:
    """Wall and CPU seconds of processes side by side, with children, and their output."""

    wall: float
    cpu: float
    output: str


def run_processes(*commands: Sequence[str]) -> ProcessCost:
    """Run commands side by side in the repository; exit with the output if one fails."""
    # With this variable set, packages would be compiled anew in every process.
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]
        started = monotonic()
        processes = [
            subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
            for command, log in zip(commands, logs, strict=True)
        ]
        cpu = sum(_wait(process) for process in processes)
        wall = monotonic() - started
        outputs = [_read(log) for log in logs]
    for process, output in zip(processes, outputs, strict=True):
        if process.returncode:
            command = " ".join(map(str, process.args))[:500]
            sys.exit(f"{command}\n{output[-3000:]}\nexit status {process.returncode}")
    return ProcessCost(wall, cpu, "".join(outputs))


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process; return the CPU seconds of it and of its finished children."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _read(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")


def module_command(name: str, *arguments: Any) -> list[str]:
    """Return the command that runs a module of this repository."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def job_command(job: jobs.Job, **arguments: Any) -> list[str]:
    """Return the command of a rule: the entry point of `job` with one option per argument."""
    command = module_command(job_module(type(job)), "--job", job.to_json())
    for name, value in arguments.items():
        values = value if isinstance(value, list) else [value]
        command += [f"--{name.replace('_', '-')}", *map(str, values)]
    return command


def job_module(kind: type[jobs.Job]) -> str:
    """Return the module of the entry point for jobs of `kind`."""
    return ".".join(ENTRY_POINTS[kind].relative_to(ROOT).with_suffix("").parts)


def shipped_config(*changes: dict[str, Any]) -> Config:
    """Return the configuration in config/ with `changes` merged into it."""
    values: dict[str, Any] = {}
    for name in CONFIG_FILES:
        values = merge(values, read_yaml(ROOT / "config" / f"{name}.yaml"))
    for change in changes:
        values = merge(values, change)
    return build_config(values)


@dataclass
class Contender:
    """A call that processes `images` images; `before` runs first and is not measured.

    Each round adds its wall seconds, images per second, and images per CPU second, workers
    included.
    """

    name: str
    images: int
    call: Callable[[], object]
    before: Callable[[], object] = lambda: None
    walls: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu_rates: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Run once and record the round."""
        self.before()
        wall, cpu = perf_counter(), _cpu_seconds()
        self.call()
        self.walls.append(perf_counter() - wall)
        self.rates.append(self.images / self.walls[-1])
        self.cpu_rates.append(self.images / (_cpu_seconds() - cpu))

    @property
    def cpus(self) -> list[float]:
        """CPU seconds of every round."""
        return [self.images / rate for rate in self.cpu_rates]


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and its finished children."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_interleaved(contenders: Sequence[Contender], rounds: int) -> None:
    """Run all contenders in turn, `rounds` times, so that drift affects all alike."""
    for number in range(rounds):
        for contender in contenders:
            contender.run()
            rate = f"{contender.rates[-1]:,.0f} images/s"
            print(f"round {number + 1}, {contender.name}: {rate}", file=sys.stderr)


def rate_rows(contenders: Sequence[Contender], *bases: Contender) -> Iterator[tuple[str, ...]]:
    """Yield rows of RATE_HEAD, with one column more per base: the rate over the base's."""
    for one in contenders:
        relative = [
            "" if one is base else spread(ratios(one.rates, base.rates)) for base in bases
        ]
        yield one.name, spread(one.rates, 0), spread(one.cpu_rates, 0), *relative


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Format the median with the range: `2.00 (1.00-3.00)`."""
    middle = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def ratios(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the ratios round by round, in which what slows a whole round cancels."""
    return [one / other for one, other in zip(first, second, strict=True)]


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def put_section(path: Path, page_title: str, title: str, text: str) -> None:
    """Write or replace section `title` of the page at `path`; keep its other sections."""
    page = page_title
    if path.exists():
        page = path.read_text(encoding="utf-8")
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    new = f"## {title}\n\n{text.strip()}\n"
    places = [place for place, old in enumerate(sections) if old.startswith(f"## {title}\n")]
    if places:
        sections[places[0]] = new
    else:
        sections.append(new)
    write_text(path, "\n".join(f"{part.strip()}\n" for part in [head, *sections]))


Part = tuple[str, Callable[[Namespace, Path], str]]


def run_parts(
    options: Namespace,
    page_title: str,
    parts: Mapping[str, Part],
    libraries: Sequence[str] = (),
) -> None:
    """Run `options.part` of `parts`, or all, and write each as a section of `options.out`.

    A part has a title and a function from the options and a folder to its text. `libraries` are
    named with their versions beside those of every page.
    """
    if options.device == "cpu":
        # Children inherit it: no benchmark uses more cores than it reports.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    for name in parts if options.part == "all" else [options.part]:
        title, run = parts[name]
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            text = run(options, options.work or Path(folder))
        conditions = protocol(options.device, options.rounds, load, libraries)
        put_section(options.out, page_title, title, f"{conditions}\n{text}")
    print(options.out.read_text(encoding="utf-8"))


def part_parser(
    documentation: str | None, parts: Iterable[str], page: str
) -> argparse.ArgumentParser:
    """Return a parser with the options of every benchmark; `page` is the page's file name."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*parts, "all"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--cores", type=int, default=2, help="CPU cores that are used at most")
    parser.add_argument("--work", type=Path, help="folder for files that are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / page)
    return parser


def protocol(device: str, rounds: int, load: float, libraries: Sequence[str] = ()) -> str:
    """Return where, when and how often was measured; `load` is the load average before."""
    names = ("torch", "torchvision", "pillow", "numpy", *libraries)
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    machine = f"{_processor()}, {len(os.sched_getaffinity(0))} cores"
    if device == "cuda":
        machine += f", {_card()}"
    return (
        f"{date.today()}, commit {_commit()}, {machine}, Python {platform.python_version()}, "
        f"{versions}. Rounds: {rounds}, interleaved; median (lowest-highest). "
        f"Load average before: {load:.2f}.\n"
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    match = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    return match[1] if match else platform.machine()


def _card() -> str:
    import torch

    return torch.cuda.get_device_name()


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        return result.stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no", "--", "resomap", "rules")
        return git("rev-parse", "--short", "HEAD") + (" and changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
