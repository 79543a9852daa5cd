"""Measure what Snakemake itself costs a sweep: building the DAG, finding nothing to do, starting jobs. Writes the tables.

usage: python -m benchmarks.workflow PART [--rounds 5] [--seeds 10] [--subsample 20] [--work DIR]

PART      plan       a dry run of a fresh sweep, and of one that is complete
          start      a whole sweep by each scheduler, at a tenth of the seeds, at three tenths and at all of them: once each, a quarter of an hour
          all        both

The sweep is config/presets/full.yaml with --seeds seeds: 16 models, 7 resolutions. Rules, parameters, inputs, outputs and profile are the shipped
ones; `python` is a shell script that makes the files that a job is to make, a few bytes each. Each part replaces its section of benchmarks/workflow.md.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from argparse import Namespace
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any
from venv import EnvBuilder

import yaml

from benchmarks.processes import ROOT, job_module
from benchmarks.tables import markdown, spread, write_parts
from resomap.workflow import jobs

TITLE = "# The workflow: what Snakemake itself costs\n"
PRESET = ROOT / "config" / "presets" / "full.yaml"
# Of these rules not every output stands in the command.
QUIET = {
    "prepare_data": jobs.PrepareData,
    "resize_data": jobs.ResizeData,
    "summarise_models": jobs.Summarise,
    "aggregate_tables": jobs.Aggregate,
    "plot_figures": jobs.Plot,
}
JOB = """#!/bin/sh
# python -m MODULE --job JSON ...: makes what a job of MODULE is to make, where it is not there
for word in $(cat "${0%/*}/$2" 2>/dev/null) "$@"; do
  case $word in
    results/*metrics.json) printf '{"status": "ok", "environment": {"device": "cpu", "processes": 1}, "job": %s}' "$4" > "$word" ;;
    results/*timing.json) echo '{"train_seconds": 60.0}' > "$word" ;;
    results/*.*) [ -e "$word" ] || echo made > "$word" ;;
  esac
done
"""
PLAN_NOTE = """`fresh`: `snakemake -n -q` in an empty directory. `complete`: the same where every job has run, "Nothing to be done"; the parameters, code and
inputs of every job are compared, as the last line shows. `status`: `resomap status` of the complete sweep. CPU s and peak MiB are of the whole
process, start-up included.
"""
START_NOTE = """Every job of the sweep through its real rule, from an empty directory, on {cores} cores; Snakemake's output goes to a file. `Snakemake` is
CPU of its own process, start-up and DAG included; `jobs` is that of the jobs, which are two shells each. `a job` is the first over the jobs,
`starting` the same without a dry run of that sweep.
"""


@dataclass(frozen=True)
class Cost:
    """What one call took: CPU seconds of its own process and of its jobs, and what it printed."""

    own: float
    jobs: float
    peak_mib: float
    wall: float
    output: str


def call(program: Sequence[str | Path], folder: Path) -> Cost:
    """Run it in `folder`; what fails ends the benchmark with its output."""
    started = monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            program,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = monotonic() - started
        log.seek(0)
        output = log.read().decode()
    if process.returncode:
        sys.exit(f"{output[-3000:]}\nexit status {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, 0.0, usage.ru_maxrss / 1024, wall, output)


class Sweep:
    """A directory in which Snakemake runs the shipped workflow over so many `seeds`, with jobs that only make their files."""

    def __init__(self, folder: Path, seeds: int, python: Path) -> None:
        self.folder, self.python = folder, python
        self.folder.mkdir(parents=True, exist_ok=True)
        self._overlay(
            "seeds", {"sweep": {"seeds": list(range(seeds))}, "system": {"device": "cpu"}}
        )

    def snakemake(self, *arguments: str, change: dict[str, Any] | None = None) -> Cost:
        """Call it, with a `change` of the configuration."""
        overlays = [
            PRESET,
            self.folder / "seeds.yaml",
            *([self._overlay("change", change)] if change else []),
        ]
        asked = [*arguments, "--directory", self.folder, "--configfile", *overlays]
        cost = call([self.python, "-m", "benchmarks.own_cpu", *asked], ROOT)
        told = json.loads(cost.output.strip().splitlines()[-1])
        return replace(cost, own=told["own"], jobs=told["jobs"])

    def status(self) -> Cost:
        """Call `resomap status`."""
        return call(
            [sys.executable, "-c", "from resomap.cli import app; app()", "status"], self.folder
        )

    def planned(self, change: dict[str, Any] | None = None) -> int:
        """How many jobs would run."""
        return count_jobs(self.snakemake("-n", "--quiet", "rules", change=change).output)

    def _overlay(self, name: str, values: dict[str, Any]) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path


def count_jobs(output: str) -> int:
    """The total of the table of jobs that Snakemake prints; 0 where there is none."""
    told = re.search(r"^total +(\d+)$", output, re.MULTILINE)
    return int(told[1]) if told else 0


def make_python(folder: Path) -> Path:
    """An environment whose `python` is JOB, and beside it this Python, to run Snakemake with."""
    EnvBuilder(symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "shipped.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    job, real = folder / "bin" / "python", folder / "bin" / "python3"
    real.unlink()
    real.symlink_to(job.resolve())
    job.unlink()
    job.write_text(JOB, encoding="utf-8")
    job.chmod(0o755)
    return real


def tell_outputs(sweep: Sweep) -> None:
    """Say to JOB what the rules make whose commands do not say it."""
    made = defaultdict(list)
    for line in sweep.snakemake("--summary").output.splitlines():
        path, *told = line.split("\t")
        if told:
            made[told[1]].append(path)
    for rule, kind in QUIET.items():
        (sweep.python.parent / job_module(kind)).write_text(
            "\n".join(made[rule]), encoding="utf-8"
        )


def run_plan(options: Namespace, work: Path) -> str:
    """Dry runs, as text for the page."""
    fresh, complete = (
        prepared(options, work, "fresh", options.seeds),
        prepared(options, work, "complete", options.seeds),
    )
    if complete.planned():
        complete.snakemake("--scheduler-subsample", str(options.subsample))
    ways = {
        "fresh": lambda: fresh.snakemake("-n", "-q"),
        "complete": lambda: complete.snakemake("-n", "-q"),
        "status": complete.status,
    }
    costs = {name: list[Cost]() for name in ways}
    for number in range(options.rounds):
        for name, way in ways.items():
            costs[name].append(way())
        print(
            f"round {number + 1}: {', '.join(f'{name} {each[-1].own:.1f} s' for name, each in costs.items())}",
            file=sys.stderr,
        )
    assert complete.planned() == 0, "the complete sweep is not complete"
    count, redone = fresh.planned(), complete.planned({"training": {"epochs": 51}})
    rows = [
        (
            name,
            spread([one.own for one in each]),
            spread([one.wall for one in each], 1),
            peak(each),
        )
        for name, each in costs.items()
    ]
    told = f"{count:,} jobs. `training.epochs: 51` on top of the complete sweep: {redone:,} jobs would run.\n"
    return f"{PLAN_NOTE}\n{markdown(('', 'CPU s', 'wall s', 'peak MiB'), rows)}\n{told}"


def peak(costs: Sequence[Cost]) -> str:
    """The median and the spread of peaks of memory."""
    return spread([cost.peak_mib for cost in costs], 0)


def run_start(options: Namespace, work: Path) -> str:
    """Whole sweeps, as text for the page."""
    subsample = ["--scheduler-subsample", str(options.subsample)]
    every = ["--scheduler-subsample", str(10**9)]
    ways = {
        "greedy": ["--scheduler", "greedy", *every],
        f"greedy, subsample {options.subsample}": ["--scheduler", "greedy", *subsample],
        "ilp": ["--scheduler", "ilp", *every],
        f"ilp, subsample {options.subsample}": ["--scheduler", "ilp", *subsample],
    }
    rows = []
    for tenths in (1, 3, 10):
        seeds = max(1, options.seeds * tenths // 10)
        for name, arguments in ways.items():
            if name == "ilp" and tenths == 10:  # would take an hour
                continue
            sweep = prepared(options, work, f"{seeds}_{name.replace(' ', '_')}", seeds)
            rows.append(
                start_row(
                    name,
                    sweep.planned(),
                    sweep.snakemake("-n", "-q"),
                    sweep.snakemake(*arguments),
                )
            )
            print(*rows[-1], sep=" | ", file=sys.stderr)
    head = (
        "scheduler",
        "jobs",
        "Snakemake, CPU s",
        "jobs, CPU s",
        "a job, ms",
        "starting, ms",
        "peak MiB",
    )
    return f"{START_NOTE.format(cores=os.cpu_count())}\n{markdown(head, rows)}"


def start_row(name: str, count: int, dry: Cost, whole: Cost) -> tuple[str, ...]:
    """A row of the table of whole sweeps."""
    each, starting = 1e3 * whole.own / count, 1e3 * (whole.own - dry.own) / count
    return (
        name,
        f"{count:,}",
        f"{whole.own:.1f}",
        f"{whole.jobs:.1f}",
        f"{each:.1f}",
        f"{starting:.1f}",
        f"{whole.peak_mib:.0f}",
    )


def prepared(options: Namespace, work: Path, name: str, seeds: int) -> Sweep:
    """A sweep in its own folder of `work`, with a Python of its own."""
    python = work / f"python_{name}" / "bin" / "python3"
    sweep = Sweep(work / name, seeds, python)
    if not python.exists():
        make_python(python.parents[1])
        tell_outputs(sweep)
    return sweep


PARTS = {"plan": ("Planning", run_plan), "start": ("Starting jobs", run_start)}


def main() -> None:
    """Run the parts asked for."""
    write_parts(
        parse(), TITLE, PARTS, once="start", libraries=f"Snakemake {version('snakemake')}."
    )


def parse() -> Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--subsample", type=int, default=20)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "workflow.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
