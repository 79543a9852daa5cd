"""Measure a training job of ResoMap against how people train today, and write the tables.

usage: python -m benchmarks.training PART [--rounds 5] [--device cpu] [--models ...] [--resolutions ...]

PART      jobs      whole training jobs against benchmarks/textbook/train.py
          batches   batches a second without a network
          startup   process start to first step, and the start-up of every entry point
          sweep     the whole default sweep against benchmarks/textbook/sweep.sh, and its share that is not compute
          peers     timm's parts and Lightning's Trainer; needs --python, an environment with timm and lightning
          all       jobs, batches, startup and sweep, about 45 minutes on two idle cores

Each part replaces its own section of benchmarks/training.md and leaves the others. On a GPU say --device cuda, and how much of it to fill:
--batch-size 256 --pictures 16384 --epochs 3 --workers 16.
"""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.batches import run_batches
from benchmarks.peers import run_peers
from benchmarks.processes import ROOT
from benchmarks.startup import run_startup
from benchmarks.tables import protocol, put_section
from benchmarks.whole_jobs import run_jobs
from benchmarks.whole_sweep import run_sweep

PARTS = {
    "jobs": ("Whole training jobs", run_jobs),
    "batches": ("Batches a second", run_batches),
    "startup": ("Start-up", run_startup),
    "sweep": ("The whole default sweep", run_sweep),
    "peers": ("timm and Lightning", run_peers),
}

DEFAULTS = {
    "rounds": 5,
    "models": ["tiny_cnn", "resnet18", "mobilenet_v3_small"],
    "resolutions": [64, 128, 224],
}
FEWER = {
    "sweep": {"rounds": 1},
    "peers": {"models": ["tiny_cnn", "resnet18"], "resolutions": [64]},
}


def main() -> None:
    """Run the parts asked for."""
    options = parse()
    if options.device == "cpu":
        os.sched_setaffinity(
            0, sorted(os.sched_getaffinity(0))[: options.cores]
        )  # every child inherits it
    for name in (
        [part for part in PARTS if part != "peers"] if options.part == "all" else [options.part]
    ):
        title, run = PARTS[name]
        given = {key: value for key, value in vars(options).items() if value is not None}
        part = argparse.Namespace(
            **{"pictures": None, "python": None, **DEFAULTS, **FEWER.get(name, {}), **given}
        )
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            text = run(part, Path(folder))
        put_section(
            options.out,
            f"{title} ({options.device})",
            f"{protocol(options.device, part.rounds, load)}\n{text}",
        )
    print(options.out.read_text(encoding="utf-8"))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--rounds", type=int, help="5; 1 of the sweep")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--cores", type=int, default=2, help="on a CPU, at most so many are used"
    )
    parser.add_argument(
        "--models",
        nargs="+",
        help="tiny_cnn, resnet18, mobilenet_v3_small; the first two of the peers",
    )
    parser.add_argument(
        "--resolutions", nargs="+", type=int, help="64, 128, 224; 64 of the peers"
    )
    parser.add_argument(
        "--pictures",
        type=int,
        help="of one epoch; by default what a CPU does in about ten seconds",
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2, help="of the textbook's DataLoader")
    parser.add_argument(
        "--brief", action="store_true", help="jobs: only resomap and textbook in float32"
    )
    parser.add_argument(
        "--changes",
        default="{}",
        help="sweep: changes of the default configuration as JSON, for a trial",
    )
    parser.add_argument(
        "--python", help="peers: the Python of an environment with timm and lightning"
    )
    parser.add_argument(
        "--work", type=Path, help="folder for temporary files; pictures of a CPU run take 2 GB"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "training.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
