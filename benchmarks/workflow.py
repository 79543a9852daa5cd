"""What Snakemake itself costs a sweep: building the DAG, finding nothing to do, starting jobs.

usage: python -m benchmarks.workflow PART [--rounds 5] [--seeds 10] [--subsample 20] [--work
DIR]

PART      plan       dry runs of a fresh and of a complete sweep
          start      a whole sweep with each scheduler, at a tenth, three tenths and all of the
                     seeds: once each, a quarter of an hour
          all        both

The sweep is config/presets/full.yaml with --seeds seeds: 16 models, 7 resolutions. Rules,
parameters, inputs, outputs and profile are the shipped ones; `python` is a shell script that
writes the output files of a job, a few bytes each. Each part replaces its own section of
benchmarks/workflow.md.
"""

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
from pathlib import Path
from time import monotonic
from typing import Any
from venv import EnvBuilder

import yaml

from benchmarks.harness import ROOT, job_module, markdown, part_parser, run_parts, spread
from resomap.workflow import jobs

TITLE = "# The workflow: what Snakemake itself costs\n"
PRESET = ROOT / "config" / "presets" / "full.yaml"
# The commands of these rules do not name all of their outputs.
INCOMPLETE_COMMANDS = {
    "prepare_data": jobs.PrepareData,
    "resize_data": jobs.ResizeData,
    "summarise_models": jobs.Summarise,
    "aggregate_tables": jobs.Aggregate,
    "plot_figures": jobs.Plot,
}
# Stands in for `python -m MODULE --job JSON ...` and writes the output files that do not exist.
FAKE_PYTHON = """#!/bin/sh
for word in $(cat "${0%/*}/$2" 2>/dev/null) "$@"; do
  case $word in
    results/*metrics.json) printf '{"status": "ok", "environment": {"device": "cpu",
    "processes": 1}, "job": %s}' "$4" > "$word" ;; results/*timing.json) echo '{"train_seconds":
    60.0}' > "$word" ;; results/*.*) [ -e "$word" ] || echo made > "$word" ;;
  esac
done
"""
# Runs Snakemake and prints its own CPU seconds and those of its jobs, which wait4() would add
# up.
OWN_CPU = """
import json, resource, sys
from snakemake.cli import main
def seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime
try:
    main(sys.argv[1:])
finally:
    own, jobs = seconds(resource.RUSAGE_SELF), seconds(resource.RUSAGE_CHILDREN)
    print("\\n" + json.dumps({"own": own, "jobs": jobs}), flush=True)
"""
PLAN_NOTE = """\
`fresh` is `snakemake -n -q` in an empty directory, `complete` the same after all jobs have run:
the parameters, code and inputs of every job are compared, as the last line shows. `status` is
`resomap status` of the complete sweep. CPU s and peak MiB are those of the whole process,
start-up included.
"""
START_NOTE = """\
Every job of the sweep through its real rule, from an empty directory, on {cores} cores;
Snakemake's output goes to a file. `Snakemake` is the CPU of its own process, start-up and DAG
included; `jobs` is that of the jobs, two shells each. `a job` is the first divided by the
number of jobs, `starting` the same without a dry run of that sweep.
"""
START_HEAD = (
    *("scheduler", "jobs", "Snakemake, CPU s", "jobs, CPU s", "a job, ms", "starting, ms"),
    "peak MiB",
)


@dataclass(frozen=True)
class CallCost:
    """CPU seconds of a process and of its jobs, its peak memory, wall seconds and output."""

    own: float
    jobs: float
    peak_mib: float
    wall: float
    output: str


def run_program(program: Sequence[str | Path], folder: Path) -> CallCost:
    """Run a program in `folder`; exit with its output if it fails."""
    started, environment = monotonic(), os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(program, cwd=folder, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = monotonic() - started
        log.seek(0)
        output = log.read().decode()
    if process.returncode:
        sys.exit(f"{output[-3000:]}\nexit status {process.returncode}")
    own = usage.ru_utime + usage.ru_stime
    return CallCost(own, 0.0, usage.ru_maxrss / 1024, wall, output)


class FakeSweep:
    """A directory in which Snakemake runs the shipped workflow; jobs only write files."""

    def __init__(self, folder: Path, seeds: int, python: Path) -> None:
        self.folder, self.python = folder, python
        self.folder.mkdir(parents=True, exist_ok=True)
        overlay = {"sweep": {"seeds": list(range(seeds))}, "system": {"device": "cpu"}}
        self._seeds = self._write_overlay("seeds", overlay)

    def snakemake(self, *arguments: str, change: dict[str, Any] | None = None) -> CallCost:
        """Run Snakemake, with a `change` of the configuration if given."""
        overlays = [PRESET, self._seeds]
        if change:
            overlays.append(self._write_overlay("change", change))
        options = [*arguments, "--directory", self.folder, "--configfile", *overlays]
        cost = run_program([self.python, "-c", OWN_CPU, *options], ROOT)
        cpu = json.loads(cost.output.strip().splitlines()[-1])
        return replace(cost, own=cpu["own"], jobs=cpu["jobs"])

    def status(self) -> CallCost:
        """Run `resomap status`."""
        program = "from resomap.cli import app; app()"
        return run_program([sys.executable, "-c", program, "status"], self.folder)

    def count_jobs(self, change: dict[str, Any] | None = None) -> int:
        """Return how many jobs would run: the total that a dry run prints, 0 without one."""
        output = self.snakemake("-n", "--quiet", "rules", change=change).output
        total = re.search(r"^total +(\d+)$", output, re.MULTILINE)
        return int(total[1]) if total else 0

    def _write_overlay(self, name: str, values: dict[str, Any]) -> Path:
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path


def prepare_sweep(work: Path, name: str, seeds: int) -> FakeSweep:
    """Return a sweep in its own folder of `work`, with its own fake Python."""
    python = work / f"python_{name}" / "bin" / "python3"
    sweep = FakeSweep(work / name, seeds, python)
    if not python.exists():
        _make_python(python.parents[1])
        _write_outputs(sweep)
    return sweep


def _make_python(folder: Path) -> None:
    """Make an environment whose `python` is FAKE_PYTHON and whose `python3` is this Python."""
    EnvBuilder(symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "shipped.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    fake, real = folder / "bin" / "python", folder / "bin" / "python3"
    real.unlink()
    real.symlink_to(fake.resolve())
    fake.unlink()
    fake.write_text(FAKE_PYTHON, encoding="utf-8")
    fake.chmod(0o755)


def _write_outputs(sweep: FakeSweep) -> None:
    """List for FAKE_PYTHON the outputs of INCOMPLETE_COMMANDS, from Snakemake's summary."""
    outputs = defaultdict(list)
    for line in sweep.snakemake("--summary").output.splitlines():
        path, *columns = line.split("\t")
        if columns:
            outputs[columns[1]].append(path)
    for rule, kind in INCOMPLETE_COMMANDS.items():
        listing = sweep.python.parent / job_module(kind)
        listing.write_text("\n".join(outputs[rule]), encoding="utf-8")


def run_plan(options: Namespace, work: Path) -> str:
    """Time dry runs of a fresh and of a complete sweep; return the section."""
    fresh, complete = (
        prepare_sweep(work, name, options.seeds) for name in ("fresh", "complete")
    )
    if complete.count_jobs():
        complete.snakemake("--scheduler-subsample", str(options.subsample))
    calls = {
        "fresh": lambda: fresh.snakemake("-n", "-q"),
        "complete": lambda: complete.snakemake("-n", "-q"),
        "status": complete.status,
    }
    costs = {name: list[CallCost]() for name in calls}
    for number in range(options.rounds):
        for name, call in calls.items():
            costs[name].append(call())
            print(f"round {number + 1}, {name}: {costs[name][-1].own:.1f} s", file=sys.stderr)
    assert complete.count_jobs() == 0, "the complete sweep is not complete"
    rows = [(name, *_plan_columns(costs[name])) for name in calls]
    count, rerun = fresh.count_jobs(), complete.count_jobs({"training": {"epochs": 51}})
    counts = (
        f"{count:,} jobs. `training.epochs: 51` on top of the complete sweep: "
        f"{rerun:,} jobs would run.\n"
    )
    return f"{PLAN_NOTE}\n{markdown(('', 'CPU s', 'wall s', 'peak MiB'), rows)}\n{counts}"


def _plan_columns(costs: Sequence[CallCost]) -> tuple[str, str, str]:
    return (
        spread([cost.own for cost in costs]),
        spread([cost.wall for cost in costs], 1),
        spread([cost.peak_mib for cost in costs], 0),
    )


def run_start(options: Namespace, work: Path) -> str:
    """Run whole sweeps with each scheduler; return the section."""
    rows = []
    sizes = sorted({max(1, options.seeds * tenths // 10) for tenths in (1, 3, 10)})
    for seeds in sizes:
        for scheduler in ("greedy", "ilp"):
            for subsample in (None, options.subsample):
                # The exact solver over all jobs would take an hour at the largest size.
                if (scheduler, subsample, seeds) != ("ilp", None, sizes[-1]):
                    rows.append(_start_row(work, seeds, scheduler, subsample))
                    print(*rows[-1], sep=" | ", file=sys.stderr)
    return f"{START_NOTE.format(cores=os.cpu_count())}\n{markdown(START_HEAD, rows)}"


def _start_row(
    work: Path, seeds: int, scheduler: str, subsample: int | None
) -> tuple[str, ...]:
    """Run one sweep; return its row of START_HEAD. A subsample of None considers all jobs."""
    name = scheduler if subsample is None else f"{scheduler}, subsample {subsample}"
    sweep = prepare_sweep(work, f"{seeds}_{name.replace(' ', '_')}", seeds)
    count, dry = sweep.count_jobs(), sweep.snakemake("-n", "-q")
    considered = str(subsample or 10**9)
    whole = sweep.snakemake("--scheduler", scheduler, "--scheduler-subsample", considered)
    return (
        *(name, f"{count:,}", f"{whole.own:.1f}", f"{whole.jobs:.1f}"),
        *(f"{1e3 * whole.own / count:.1f}", f"{1e3 * (whole.own - dry.own) / count:.1f}"),
        f"{whole.peak_mib:.0f}",
    )


PARTS = {"plan": ("Planning", run_plan), "start": ("Starting jobs", run_start)}


def main() -> None:
    """Parse the command line and write the sections."""
    parser = part_parser(__doc__, PARTS, "workflow.md")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--subsample", type=int, default=20)
    run_parts(parser.parse_args(), TITLE, PARTS, ["snakemake"])


if __name__ == "__main__":
    main()
