"""Modes of evaluation on real sweeps of the reef: a planted winner, and BatchNorm repaired.

`python -m benchmarks.modes all` writes modes.md. Seeds are fixed.
"""

import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cascades import IMAGES, mixed_sweep, verdict
from benchmarks.harness import ROOT, markdown, part_parser, run_parts
from benchmarks.reef_sweeps import (
    SmallSweep,
    accuracy,
    reef_values,
    spoil_statistics,
    wildcards,
)
from resomap.analysis.predictions import Run
from resomap.config.evaluation import EvaluationMode
from resomap.config.load import merge
from resomap.text import format_count

PAGE_TITLE = (
    "# Modes of evaluation\n\nWritten by `python -m benchmarks.modes all`; `--seeds` sets the number of seeds "
    "of a part."
)
MODES: tuple[EvaluationMode, ...] = ("raw", "bn")
BAR_POINTS = 0.2
# A crop of .74 of the side, scaled up to the whole side, shows stripes and fish as large as an
# image of 1.35 times the side does: 96 px for 128 px.
CROP = {"random_resized_crop": {"scale": [0.45, 0.65], "ratio": [1.0, 1.0]}}


def planted_values(
    resolutions: tuple[int, int], seeds: int, reef: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    """Return a sweep of which the winner is trained at the first size and used at the second.

    Trained on crops, the network of the smaller size has seen objects as large as the larger
    size shows them (FixRes, Touvron et al. 2019).
    """
    own = merge({"training": {"augmentation": CROP}}, changes)
    return reef_values(resolutions, seeds, reef, **own)


def choose(sweep: SmallSweep) -> dict[str, Any]:
    """Return what `resomap choose --json` prints."""
    code = "from resomap.cli import app; app()"
    command = [sys.executable, "-c", code, "choose", str(sweep.path), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def run_planted(options: Namespace, work: Path) -> str:
    """Train at 96 and 128 px on crops."""
    sizes = (96, 128)
    images = {"train": 1600, "val": 400, "test": 1000}
    sweep = SmallSweep(work / "planted", planted_values(sizes, options.seeds, images))
    record = choose(sweep.run())
    choice = record["choice"]
    chosen = choice["resolution"], choice["eval_resolution"], choice["mode"]
    right = chosen[:2] == sizes
    note = (
        f"tiny_cnn, {images['train']} training, {images['val']} validation and "
        f"{images['test']} test images, {format_count(options.seeds, 'seed')}, trained "
        "on crops of 45 to 65 % of the area. So the network of 96 px has seen stripes as wide as an image of 128 px shows "
        f"them. `resomap choose`: {record['status']}, trained at {chosen[0]} px, used at "
        f"{chosen[1]} px in mode {chosen[2]} (bar: 96 and 128 px: "
        f"{verdict(right)})."
    )
    return f"{note}\n\n{markdown(*planted_table(sweep))}"


def planted_table(sweep: SmallSweep) -> tuple[list[str], list[tuple[object, ...]]]:
    """Return head and rows of the test accuracies, mean over seeds and range."""
    sizes = sorted(sweep.config.sweep.resolutions)
    head = ["trained at", *(f"{mode} at {px} px" for mode, px in product(MODES, sizes))]
    rows: list[tuple[object, ...]] = []
    for cell in sweep.cells:
        runs = [run for run in sweep.runs if run.cell == cell]
        columns = (
            [accuracy(run.folder, px, mode) for run in runs]
            for mode, px in product(MODES, sizes)
        )
        rows.append((f"{cell.resolution} px", *map(_mean_and_range, columns)))
    return head, rows


def _mean_and_range(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"


def run_statistics(options: Namespace, work: Path) -> str:
    """Compare raw and bn at the training size, before and after the statistics are spoilt."""
    sweep = mixed_sweep(work, options.seeds).run()
    rows = list(statistics_rows(sweep, work / "spoilt"))
    differences = np.array([row[3] - row[2] for row in rows]) * 100
    kept = abs(differences.mean()) <= BAR_POINTS
    repaired = all(row[3] == row[5] for row in rows)
    note = (
        f"tiny_cnn, {IMAGES['train']} training and {IMAGES['test']} test images of the reef, the "
        f"shipped recipe, each run at its own size. bn minus raw: mean {differences.mean():+.2f} "
        f"points, sd {differences.std(ddof=1):.2f}, {differences.min():+.2f} to "
        f"{differences.max():+.2f}, n {len(rows)} (bar: a mean within {BAR_POINTS} points: "
        f"{verdict(kept)}). Spoilt: every running mean and variance multiplied by a random "
        f"factor of 1/8 to 8. Bar: bn is as accurate as without the damage: {verdict(repaired)}."
    )
    head = ("trained at", "seed", "raw", "bn", "spoilt, raw", "spoilt, bn")
    body = [(*row[:2], *(f"{value:.4f}" for value in row[2:])) for row in rows]
    return f"{note}\n\n{markdown(head, body)}"


def statistics_rows(sweep: SmallSweep, folder: Path) -> Iterator[tuple[Any, ...]]:
    """Yield size, seed, and the accuracies of raw and bn, sound and spoilt, of every run."""
    for run in sweep.runs:
        sound = own_accuracies(run, run.folder)
        spoilt = own_accuracies(run, evaluate_spoilt(sweep, run, folder))
        yield (f"{run.cell.resolution} px", run.seed, *sound, *spoilt)


def own_accuracies(run: Run, folder: Path) -> list[float]:
    """Return the test accuracies in `folder` at the size of a run, raw and bn."""
    return [accuracy(folder, run.cell.resolution, mode) for mode in MODES]


def evaluate_spoilt(sweep: SmallSweep, run: Run, folder: Path) -> Path:
    """Evaluate a run with spoilt statistics; returns the folder of its results."""
    keys = wildcards(run)
    own = folder / "-".join(keys.values())
    spoil_statistics(sweep.file("weights", **keys), own / "spoilt.safetensors", run.seed)
    sweep.evaluate(keys, own / "spoilt.safetensors", own)
    return own


PARTS = {
    "planted": ("A planted winner: train at 96 px, test at 128 px", run_planted),
    "statistics": ("Statistics of BatchNorm", run_statistics),
}


def main() -> None:
    """Run the parts that the command line names."""
    parser = part_parser(__doc__, PARTS, "modes.md")
    parser.add_argument("--seeds", type=int, default=2)
    run_parts(parser.parse_args(), PAGE_TITLE, PARTS)


if __name__ == "__main__":
    main()
