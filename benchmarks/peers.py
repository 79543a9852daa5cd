"""The same trainings by timm's parts and by Lightning's Trainer, once, in an environment that has them."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.pictures import Pictures
from benchmarks.processes import measure, module
from benchmarks.whole_jobs import Arm, build_arms, run_jobs, textbook_result

NOTE = """{versions}. The jobs of the first section, by two libraries more: `timm` is its own loader, optimizer, schedule, loss, meters and
checkpoints put together as its train script does (that script comes with no package), `Lightning` its Trainer at its defaults over the textbook's
loader; both with matched recipes and {workers} workers. timm leaves the last, partial batch out.
"""
VERSIONS = "import json, torch, timm, lightning; print(json.dumps([torch.__version__, timm.__version__, lightning.__version__]))"


def run_peers(options: Namespace, work: Path) -> str:
    """Every cell, as text for the page."""
    if not options.python:
        sys.exit(
            "peers: --python names the Python of an environment with timm and lightning, and with the same torch and torchvision"
        )
    torch, timm, lightning = json.loads(
        measure([options.python, "-c", VERSIONS]).output.splitlines()[-1]
    )
    versions = f"torch {torch}, timm {timm}, lightning {lightning}"
    return run_jobs(
        Namespace(**{**vars(options), "brief": True}),
        work,
        peer_arms,
        NOTE.format(versions=versions, workers=options.workers),
    )


def peer_arms(
    options: Namespace, model: str, resolution: int, pictures: Pictures
) -> Iterator[Arm]:
    """The two arms of every cell, and two more."""
    yield from build_arms(options, model, resolution, pictures)
    for name in ("timm", "Lightning"):
        script = f"benchmarks.textbook.with_{name.lower()}"
        yield Arm(
            name,
            "fp32",
            partial(peer_command, options, script, model, resolution, pictures),
            textbook_result,
        )


def peer_command(
    options: Namespace, name: str, model: str, resolution: int, pictures: Pictures, out: Path
) -> list[str]:
    """The command of a peer's script."""
    size = (
        "--model",
        model,
        "--size",
        resolution,
        "--epochs",
        options.epochs,
        "--batch-size",
        options.batch_size,
    )
    machine = ("--workers", options.workers, "--device", options.device, "--out", out)
    return module(name, pictures.folder, *size, *machine, python=options.python)
