"""Measure what explaining costs, and whether the alarm can be trusted. Writes the tables.

usage: python -m benchmarks.explain PART [--rounds 5] [--pictures 96] [--work DIR]

PART      gradcam    Grad-CAM against captum and pytorch_grad_cam, called as people call them
          methods    every method on tiny_cnn and resnet18
          run        the explain job of one run, part by part
          agreement  the comparison of one network across resolutions and seeds
          alarm      false alarms of clean networks, and hits where a sticker gives the answer away: 50 trainings, about 6 minutes on two idle
                     cores; with --work a second call goes on where the first one ended, with what the code made then
          all        all of them

Each part replaces its own section of benchmarks/explain.md and leaves the others. CPU seconds are of this process after its imports, on one torch
thread; `alarm` uses --cores processes and measures no time.
"""

import argparse
import os
from importlib.metadata import version
from pathlib import Path

from benchmarks.alarm import run_alarm
from benchmarks.maps import run_gradcam, run_methods
from benchmarks.processes import ROOT
from benchmarks.stages import run_agreement, run_run
from benchmarks.tables import write_parts

TITLE = "# Explaining: what evidence costs, and whether its alarm can be trusted\n"
LIBRARIES = f"{', '.join(f'{name} {version(name)}' for name in ('captum', 'grad-cam', 'scipy', 'pot'))}."
PARTS = {
    "gradcam": ("Grad-CAM", run_gradcam),
    "methods": ("Methods", run_methods),
    "run": ("One run", run_run),
    "agreement": ("Agreement", run_agreement),
    "alarm": ("Alarm", run_alarm),
}


def main() -> None:
    """Run the parts asked for."""
    write_parts(parse(), TITLE, PARTS, once="alarm", libraries=LIBRARIES)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--models", nargs="+", help="networks instead of a part's own")
    parser.add_argument("--resolutions", type=int, nargs="+", help="px instead of a part's own")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs=2,
        default=(20, 5),
        help="alarm: clean trainings a cell, and those with a sticker",
    )
    parser.add_argument(
        "--cores",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="alarm: processes at once",
    )
    parser.add_argument("--work", type=Path, help="keep what the parts run and alarm make")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "explain.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
