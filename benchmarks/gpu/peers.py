"""Whole training jobs on one device: ResoMap, the textbook script, timm's parts, Lightning.

usage: python -m benchmarks.gpu.peers [--device cuda] [--seconds 145]

One process a job, interleaved; a table after each round, so that a run that is cut off keeps
its rounds. images/s is the training loop of the last epoch, ratios are round by round.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from multiprocessing import Pool
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu.output import (
    NOT_MEASURED,
    Budget,
    add_device_option,
    or_failure,
    print_rows,
)
from benchmarks.harness import ratios, shipped_config, spread
from benchmarks.training import (
    Dataset,
    TrainingMethod,
    folder_data,
    our_command,
    our_result,
    split_sizes,
    textbook_command,
    textbook_result,
)
from resomap.data.store.prepare import prepare_store
from resomap.data.store.resize import resize_store
from resomap.system.precision import why_no_tf32

CLASSES, FILE_SIDE, DETAIL = 8, 256, 24
SCRIPTS = {"timm": "timm_loop", "lightning": "lightning_loop"}
FIRST_JOB_SECONDS = 20.0
HEAD = (
    "model",
    "px",
    "precision",
    "contender",
    "n",
    "images/s",
    "whole wall s",
    "rate / textbook",
)
NOTE = """
Same JPEG files of {side} px, network, AdamW, schedule, smoothing, crops and flips, batch size
{batch}, {images} images, {epochs} epochs, validation after each on a fifth as many. `textbook`,
`timm` and `lightning` decode files with {workers} workers; `resomap` reads a store that was
prepared before. tf32 of `textbook` is torch's "high", convolutions included.
"""


def draw_file(path: Path) -> None:
    """Write a JPEG of smooth noise; its class is one of CLASSES, by its number."""
    generator = np.random.default_rng(int(path.stem))
    small = generator.integers(0, 256, (DETAIL, DETAIL, 3), np.uint8)
    large = Image.fromarray(small).resize((FILE_SIDE, FILE_SIDE), Image.Resampling.BICUBIC)
    large.save(path, quality=95)


def draw_files(folder: Path, train: int) -> None:
    """Write the images of all splits, one folder per split and class."""
    paths, number = [], 0
    for split, count in split_sizes(train).items():
        for _ in range(count):
            parent = folder / split / f"class{number % CLASSES}"
            parent.mkdir(parents=True, exist_ok=True)
            paths.append(parent / f"{number:06d}.jpg")
            number += 1
    with Pool(min(16, len(os.sched_getaffinity(0)))) as pool:
        pool.map(draw_file, paths, chunksize=16)


def build_methods(
    options: argparse.Namespace, model: str, resolution: int, dataset: Dataset
) -> Iterator[TrainingMethod]:
    """Yield the contenders of a cell: at the smallest resolution also timm and Lightning."""
    ours = partial(our_command, options, model, resolution, dataset.manifest)
    theirs = partial(textbook_command, options, model, resolution, dataset.folder)
    yield TrainingMethod("resomap", "bf16", partial(ours, precision="bf16"), our_result)
    bf16 = partial(theirs, more=("--amp",))
    yield TrainingMethod("textbook", "bf16", bf16, textbook_result)
    if resolution == min(options.resolutions):
        for name, script in SCRIPTS.items():
            if find_spec(name):
                command = partial(_with_script, bf16, script)
                yield TrainingMethod(name, "bf16", command, textbook_result)
    single = "fp32" if why_no_tf32(torch.device(options.device)) else "tf32"
    yield TrainingMethod("resomap", single, partial(ours, precision=single), our_result)
    more = ("--tf32",) if single == "tf32" else ()
    yield TrainingMethod("textbook", single, partial(theirs, more=more), textbook_result)


def _with_script(command: Callable[[Path], list[str]], script: str, out: Path) -> list[str]:
    """Return the textbook's command with another script in its place."""
    return [
        part.replace("benchmarks.textbook.train", f"benchmarks.textbook.{script}")
        for part in command(out)
    ]


Rounds = dict[str, dict[int, float]]
"""Images per second of each contender by round: one that fails or is left out has no rate there."""


def job_key(cell: tuple[str, int], method: TrainingMethod) -> str:
    """Return the name of a contender of a cell."""
    return f"{cell} {method.precision} {method.name}"


def run_round(
    number: int,
    methods: dict[tuple[str, int], list[TrainingMethod]],
    budget: Budget,
    folder: Path,
    durations: dict[str, float],
    rounds: Rounds,
) -> None:
    """Run every job once that the budget allows, as round `number`."""
    for cell, contenders in methods.items():
        for method in contenders:
            key = job_key(cell, method)
            if not budget.allows(durations.get(key, FIRST_JOB_SECONDS)):
                continue
            started, measured = monotonic(), len(method.rates)
            failure = or_failure(partial(_run_job, method, folder))
            durations[key] = monotonic() - started
            if len(method.rates) > measured:
                rounds.setdefault(key, {})[number] = method.rates[-1]
            print(f"{key}: {failure or ''} {durations[key]:.1f} s", flush=True)


def _run_job(method: TrainingMethod, folder: Path) -> None:
    try:
        method.run(folder)
    except SystemExit as error:  # with the output of a job that failed
        raise RuntimeError(str(error).strip().splitlines()[-2]) from None


def peer_rows(
    methods: dict[tuple[str, int], list[TrainingMethod]], rounds: Rounds
) -> Iterator[tuple[object, ...]]:
    """Yield a row of HEAD per cell and contender; ratios are of the rounds that both have."""
    for (model, resolution), contenders in methods.items():
        cell = model, resolution
        textbooks = {each.precision: each for each in contenders if each.name == "textbook"}
        for method in contenders:
            head = (model, resolution, method.precision, method.name, len(method.rates))
            if not method.rates:
                yield (*head, NOT_MEASURED, "", "")
                continue
            base = rounds.get(job_key(cell, textbooks[method.precision]), {})
            own, relative = rounds[job_key(cell, method)], ""
            common = sorted(own.keys() & base.keys())
            if method.name != "textbook" and common:
                relative = spread(
                    ratios([own[each] for each in common], [base[each] for each in common])
                )
            yield (*head, spread(method.rates, 0), spread(method.walls), relative)


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_device_option(parser, seconds=145)
    parser.add_argument("--models", nargs="+", default=["resnet18"])
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64, 224])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=16)
    options = parser.parse_args()
    budget, durations, rounds = Budget(options.seconds), dict[str, float](), Rounds()
    for name in SCRIPTS:
        if not find_spec(name):
            print(f"{name} is not installed: {NOT_MEASURED}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        draw_files(work / "jpeg", options.images)
        data, manifest = shipped_config().data, work / "store" / "manifest.json"
        workers = min(16, len(os.sched_getaffinity(0)))
        prepare_store(
            folder_data(data, work / "jpeg", FILE_SIDE), manifest.parent, workers=workers
        )
        methods = {}
        for resolution in options.resolutions:
            resize_store(manifest, resolution, data.filter, workers)
            dataset = Dataset(work / "jpeg", manifest, options.images, 0.0, 0.0)
            for model in options.models:
                contenders = list(build_methods(options, model, resolution, dataset))
                methods[model, resolution] = contenders
        for number in range(options.rounds):
            run_round(number, methods, budget, work / "run", durations, rounds)
            rows = peer_rows(methods, rounds)
            print_rows(f"Training jobs after round {number + 1}", HEAD, rows)
    facts = {"side": FILE_SIDE, "batch": options.batch_size, "images": options.images}
    print(NOTE.format(**facts, epochs=options.epochs, workers=options.workers))


if __name__ == "__main__":
    main()
