"""Cascades: whether predictions hold on other images, and what two real sweeps save.

`python -m benchmarks.cascades all` writes cascades.md. Seeds are fixed; the part `predictions`
simulates networks, the others train them.
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cascade_worlds import CONFIDENCE, MARGIN, WORLDS, World, predict_fresh_split
from benchmarks.decision_trials import Rate
from benchmarks.harness import markdown, part_parser, run_parts
from benchmarks.reef_sweeps import SmallSweep, reef_values, write_striped_fish
from resomap.analysis.decision.inputs import read_sweep
from resomap.analysis.per_image.cascade_tables import cascade_rows
from resomap.analysis.profiles import Row

PAGE_TITLE = (
    "# Cascades\n\nWritten by `python -m benchmarks.cascades all`; `--seeds` sets the number of seeds "
    "of a part."
)
COVERAGE_BAR, SAVED_BAR = 0.95, 0.3
RESOLUTIONS = (16, 32, 64)
FREQUENCIES = [6.6, 13.2, 26.4]
"""0.41 of each resolution, so that each of them is needed by one of the groups."""
IMAGES = {"train": 1600, "val": 400, "test": 1000}
MODEL = "tiny_cnn"


def verdict(kept: bool) -> str:
    """Return how the tables say whether a bar is kept."""
    return "kept" if kept else "MISSED"


def run_predictions(options: Namespace, work: Path) -> str:
    """Simulate fresh splits, and count those that the predictions contain."""
    rows = [prediction_row(world, options.splits) for world in WORLDS]
    note = (
        f"{options.splits} fresh splits a row, of images of mixed difficulty. Held: both the "
        f"accuracy and the mean cost of the test images lie in the intervals predicted from "
        f"validation images (bar {COVERAGE_BAR:.2f}, exact binomial test). Bias: test minus "
        "prediction; the cost is in percent of the last stage."
    )
    head = (
        *("skills", "seeds", "validation n", "test n", "accuracy", "cost", "held", "bar"),
        *("accuracy bias, points", "cost bias, %"),
    )
    return f"{note}\n\n{markdown(head, rows)}"


def prediction_row(world: World, splits: int) -> tuple[object, ...]:
    """Return the row of a world."""
    found = [predict_fresh_split(world, number) for number in range(splits)]
    parts = np.array(found, float)
    both = Rate(sum(one.accuracy_holds and one.cost_holds for one in found), splits)
    accuracy, cost, *missed = parts.mean(axis=0)
    return (
        ", ".join(map(str, world.skills)),
        *(world.seeds, world.val, world.test),
        *(f"{share:.3f}" for share in (accuracy, cost)),
        both,
        verdict(both.at_least(COVERAGE_BAR)),
        *(f"{100 * value:+.2f}" for value in missed),
    )


def run_mixed(options: Namespace, work: Path) -> str:
    """Train on the reef, whose groups need three sizes."""
    sweep = mixed_sweep(work, options.seeds)
    rows, largest = table_of(sweep.run()), f"{MODEL}@{RESOLUTIONS[-1]}"
    saving = [row for row in rows if row["verdict"] == "saves" and row["cost"] == "MACs"]
    kept = any(row["saved_low"] >= SAVED_BAR and row["last"] == largest for row in saving)
    note = (
        "The reef with all its groups: outline and broad stripes are legible at "
        f"{RESOLUTIONS[0]} px, medium ones from {RESOLUTIONS[1]} px, fine ones at "
        f"{RESOLUTIONS[2]} px. Bar: a cascade with the verdict `saves` saves 30 % of the "
        f"multiply-accumulates of the largest size, lower end of its interval: {verdict(kept)}."
    )
    return f"{note} {PROTOCOL.format(**IMAGES)}\n\n{cascade_table(rows)}"


def mixed_sweep(work: Path, seeds: int) -> SmallSweep:
    """Return the sweep of the reef whose groups need three sizes, not run yet."""
    return SmallSweep(work / "mixed", reef_values(RESOLUTIONS, seeds, reef(IMAGES), MODEL))


def run_hard(options: Namespace, work: Path) -> str:
    """Train on fish of which all need the largest size."""
    counts = {"train": 1200, "val": 400, "test": 1000}
    settings = reef(counts) | {"frequencies": [FREQUENCIES[-1]] * 3}
    if not (work / "fish").exists():
        write_striped_fish(work / "fish", settings, 128)
    values = reef_values(
        RESOLUTIONS[::2],
        options.seeds,
        {},
        data={
            "dataset": "folder",
            "native_resolution": 128,
            "folder": {"path": str(work / "fish"), "masks": None, "group": None},
        },
    )
    rows = table_of(SmallSweep(work / "hard", values).run())
    verdicts = {row["verdict"] for row in rows if row["kind"] == "cascade"}
    note = (
        "Fish of the reef without the group outline, all with the finest stripes: inside every "
        f"pair nothing is legible below {RESOLUTIONS[2]} px. Bar: every cascade has the "
        f"verdict `nothing`: {verdict(verdicts == {'nothing'})}."
    )
    counts = {name: 6 * count // 8 for name, count in counts.items()}
    return f"{note} {PROTOCOL.format(**counts)}\n\n{cascade_table(rows)}"


PROTOCOL = (
    f"{MODEL}, {{train}} training, {{val}} validation and {{test}} test images, the shipped "
    "recipe. Costs are multiply-accumulates, which are the same on every machine, and beside "
    "them the median latency at batch 1 on this one, `crowded` where other work disturbed it."
)


def reef(counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the settings of the reef for these sizes and numbers of images."""
    return {**counts, "frequencies": FREQUENCIES}


def table_of(sweep: SmallSweep) -> list[Row]:
    """Return the rows of cascades.csv by multiply-accumulates, then by latency."""
    _, _, seeds, folders = read_sweep(sweep.results, sweep.config)
    rows = []
    milliseconds = "ms" if all(sweep.costs("valid").values()) else "ms, crowded"
    for name, column in (("MACs", "macs"), (milliseconds, "latency_ms_p50")):
        found = cascade_rows(sweep.costs(column), seeds, folders, MARGIN, CONFIDENCE)
        rows += [{**row, "cost": name} for row in found]
    return rows


def cascade_table(rows: list[Row]) -> str:
    """Return the cascades as a table, those by multiply-accumulates first."""
    head = (
        *("cascade", "cost", "S", "n", "escalated", "saved", "accuracy", "predicted"),
        *("difference, points", "verdict"),
    )
    return markdown(head, [_cells_of(row) for row in rows if row["kind"] == "cascade"])


def _cells_of(row: Row) -> tuple[object, ...]:
    return (
        *(row["stages"], row["cost"], row["n_seeds"], row["n"], f"{row['escalated']:.2f}"),
        *(_estimate(row, name) for name in ("saved", "accuracy", "predicted_accuracy")),
        _estimate(row, "difference", 100, 1),
        row["verdict"],
    )


def _estimate(row: Row, name: str, factor: float = 1, digits: int = 3) -> str:
    ends = (row[f"{name}{end}"] * factor for end in ("", "_low", "_high"))
    mean, low, high = (f"{value:.{digits}f}" for value in ends)
    return f"{mean} ({low} to {high})"


PARTS = {
    "predictions": ("Predictions for other images", run_predictions),
    "mixed": ("Images of mixed demand", run_mixed),
    "hard": ("Images that all need the largest size", run_hard),
}


def main() -> None:
    """Run the parts that the command line names."""
    parser = part_parser(__doc__, PARTS, "cascades.md")
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=2)
    run_parts(parser.parse_args(), PAGE_TITLE, PARTS)


if __name__ == "__main__":
    main()
