"""The choice on real images: scikit-learn's scans of handwritten digits at 8, 16, 24 and 32 px.

usage: python -m benchmarks.digits all [--work DIR]

The scans have 8 x 8 pixels, so that larger images hold no more information, and the cheapest
cell should do. Two models and three seeds make the choice. Three more seeds, which it has not
seen, tell by their accuracy on all held-out images whether it is right. `--work` keeps the
sweep, and a finished one is read again.
"""

import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.harness import ROOT, markdown, part_parser, run_parts, shipped_config
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.contrasts import Contrasts, contrast_cells
from resomap.analysis.decision.inputs import read_inputs, read_splits, read_sweep
from resomap.analysis.predictions import Cell
from resomap.config.load import merge
from resomap.config.schema import Config
from resomap.report.text.answer import answer_lines
from resomap.text import format_count
from tests.image_files import write_digits

TITLE = "# The choice on scans of digits\n"
SETTINGS: dict[str, Any] = {
    # Two fifths for the test: few images make wide intervals.
    "data": {"dataset": "folder", "path": "images", "splits": {"val": 0.2, "test": 0.4}},
    "sweep": {
        "models": ["tiny_cnn", "simple_cnn"],
        "resolutions": [8, 16, 24, 32],
        "seeds": [0, 1, 2],
    },
    "training": {"epochs": 16, "augmentation": {"horizontal_flip": 0.0}},
    "explainability": {"enabled": False},
    "system": {
        "device": "cpu",
        "training": {"num_workers": 0},
        "profiling": {"variants": ["eager"], "end_to_end": False},
    },
}
FRESH = {"sweep": {"seeds": [3, 4, 5]}}
HEAD = (
    *("cell", "validation", "test (95 % interval)", "latency, ms", "verdict", "loses at most"),
    *("fresh seeds", "less than their best"),
)
NOTE = """\
1,797 scans of 8 x 8 pixels, {train} for training, {val} for validation and {test} for the test;
{epochs} epochs. `loses at most`: to any other cell, in points, by test images for the cells of
the certificate's sequence and by validation images for others. `fresh seeds`: accuracy of
{fresh} that the choice has not seen, on all {held_out} held-out images; `less than their best`:
what they lose to the best of the fresh cells, with the 95 % interval of that difference.
"""


@dataclass(frozen=True)
class FreshSeeds:
    """The cells by networks that the choice has not seen, on all held-out images."""

    cells: list[Cell]
    contrasts: Contrasts

    def loss(self, cell: Cell) -> tuple[float, float, float]:
        """Return what the cell loses to the most accurate one, with its interval."""
        best = int(self.contrasts.means.argmax())
        interval = self.contrasts.interval(best, self.cells.index(cell), 0.95)
        return interval.mean, interval.low, interval.high

    def accuracy(self, cell: Cell) -> float:
        """Return the mean over the fresh seeds and all held-out images."""
        return float(self.contrasts.means[self.cells.index(cell)])


def run_sweep(folder: Path, cores: int) -> None:
    """Train and report the sweep, then train the fresh seeds; what is there is kept."""
    write_digits(folder / "images")
    settings, fresh = folder / "mine.yaml", folder / "fresh.yaml"
    settings.write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    fresh.write_text(yaml.safe_dump(FRESH), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--directory", folder, "--cores", str(cores)]
    first = [*command, "--configfile", settings]
    second = [*command, "--until", "evaluate_run", "--configfile", settings, fresh]
    for program in (first, second):
        subprocess.run(program, cwd=ROOT, check=True)


def digits_config(*changes: dict[str, Any]) -> Config:
    """Return the configuration of the sweep with changes."""
    values = SETTINGS
    for change in changes:
        values = merge(values, change)
    return shipped_config(values)


def read_fresh(results: Path) -> FreshSeeds:
    """Read the seeds that the choice has not seen, on validation and test images at once."""
    manifest, cells, seeds, runs = read_sweep(results, digits_config(FRESH))
    splits = read_splits(cells, seeds, runs, manifest)
    known = [cell for cell in cells if all(cell in split for split in splits)]
    correct = [
        np.concatenate([split[cell].correct_as_trained for split in splits], axis=1)
        for cell in known
    ]
    return FreshSeeds(known, contrast_cells(correct, [splits[0][cell].seeds for cell in known]))


def run_digits(options: Namespace, work: Path) -> str:
    """Choose among the cells and compare with the fresh seeds; return the section."""
    if not options.read:
        run_sweep(work, options.cores)
    config, results = digits_config(), work / "results"
    sweep = read_inputs(results, config, config.report)
    record, stricter = (
        choose(
            sweep.candidates,
            config.report.model_copy(update={"margin": margin}),
            sweep.classes,
            sweep.accuracies,
        )
        for margin in (config.report.margin, config.report.margin / 2)
    )
    fresh = read_fresh(results)
    counts = {
        name: part["count"] for name, part in read_sweep(results, config)[0]["splits"].items()
    }
    trained = sorted({int(count) for count in fresh.contrasts.seeds})
    note = NOTE.format(
        **counts,
        epochs=config.training.epochs,
        held_out=fresh.contrasts.images,
        fresh=" to ".join(format_count(count, "network") for count in trained),
    )
    answers = [
        "\n".join(["```text", *answer_lines(one, sweep.finished, sweep.runs), "```"])
        for one in (record, stricter)
    ]
    table = markdown(HEAD, digit_rows(record, sweep, fresh))
    return "\n".join([note, table, answers[0], "\nWith half of the margin:\n", answers[1]])


def digit_rows(
    record: dict[str, Any], sweep: Any, fresh: FreshSeeds
) -> Iterator[tuple[str, ...]]:
    """Yield a row per candidate."""
    verdicts = {
        _key(one): (one["verdict"], one["shown_within"]) for one in record["comparisons"]
    }
    verdicts.setdefault(_key(record["best"]), ("best on validation", None))
    for candidate in sweep.candidates:
        verdict, at_most = verdicts[_key(candidate.identity)]
        interval = sweep.accuracies.test[candidate.evaluated]
        loss = fresh.loss(candidate.cell)
        certified = record["certified"] and _key(record["certified"]) == _key(
            candidate.identity
        )
        own = candidate.is_as_trained
        yield (
            f"{candidate.cell.model} at {candidate.cell.resolution} px"
            + ("" if own else f", used at {candidate.tested_at} px ({candidate.mode})"),
            f"{candidate.val_accuracy:.3f}",
            f"{interval.mean:.3f} ({interval.low:.3f}-{interval.high:.3f})",
            f"{candidate.cost:.3f}",
            "**certified**" if certified else verdict,
            "" if at_most is None else f"{100 * at_most:.1f}",
            f"{fresh.accuracy(candidate.cell):.3f}" if own else "",
            f"{100 * loss[0]:.1f} ({100 * loss[1]:.1f} to {100 * loss[2]:.1f})" if own else "",
        )


def _key(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in ("model", "resolution", "eval_resolution", "mode"))


PARTS = {"digits": ("Two models at four resolutions", run_digits)}


def main() -> None:
    """Parse the command line and write the section."""
    parser = part_parser(__doc__, PARTS, "digits.md")
    parser.add_argument("--read", action="store_true", help="read the sweep in --work only")
    run_parts(parser.parse_args(), TITLE, PARTS, ["scikit-learn"])


if __name__ == "__main__":
    main()
