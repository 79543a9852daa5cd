"""What the tidy tables come to: one row a cell, a group, a pair of resolutions, a knee; every number with its interval."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from resomap.analysis.answers import Answers, Cell, cell_runs, group_names, in_group
from resomap.analysis.compare import Cost
from resomap.analysis.knee import differences_to_best, find_knee
from resomap.analysis.measurements import Row, single
from resomap.analysis.statistics import (
    Interval,
    accuracy_interval,
    compute_spread,
    pool_spreads,
)
from resomap.system import files
from resomap.workflow.layout import table_columns

CELLS = table_columns("cells")
GROUPS = table_columns("groups")
MATRIX = table_columns("matrix")
KNEES = table_columns("knees")

Split = Mapping[Cell, Answers]
Key = TypeVar("Key")


def cell_rows(
    cells: Sequence[Cell],
    n_runs: int,
    test: Split,
    val: Split,
    costs: Mapping[Cell, Cost],
    confidence: float,
) -> Iterator[Row]:
    """Rows of CELLS, also for cells whose every run failed; `n_runs` counts the runs that were asked for, `n_seeds` those that finished."""
    on_test = _intervals({cell: answers.own for cell, answers in test.items()}, confidence)
    on_val = _intervals({cell: answers.own for cell, answers in val.items()}, confidence)
    for cell in cells:
        row = {**cell._asdict(), "n_runs": n_runs, "n_seeds": 0}
        if cell in test:
            row |= {
                "n_seeds": len(test[cell].seeds),
                "n_test": len(test[cell].label),
                "n_val": len(val[cell].label),
            }
            row |= _named("accuracy", on_test[cell]) | {"interval": on_test[cell].method}
            row |= _named("val_accuracy", on_val[cell])
        if cell in costs:
            row |= {
                "latency_ms_p50": costs[cell].p50,
                "latency_ms_p90": costs[cell].p90,
                "latency_valid": costs[cell].valid,
            }
        yield row


def _named(name: str, interval: Interval) -> Row:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _intervals(correct: Mapping[Key, np.ndarray], confidence: float) -> dict[Key, Interval]:
    pool = pool_spreads([compute_spread(values) for values in correct.values()])
    return {key: accuracy_interval(values, confidence, pool) for key, values in correct.items()}


def group_rows(test: Split, manifest: dict[str, Any], confidence: float) -> Iterator[Row]:
    """Rows of GROUPS: the accuracy inside the pairs of each group, on test pictures at the training resolution."""
    inside = {
        (cell, group): values
        for cell, answers in test.items()
        for group, values in _by_group(answers, manifest).items()
    }
    frequencies = manifest["frequencies"] or {}
    for (cell, group), interval in _intervals(inside, confidence).items():
        seeds, count = inside[cell, group].shape
        row = {
            **cell._asdict(),
            "group": group,
            "frequency": frequencies.get(group),
            "n_seeds": seeds,
            "n": count,
        }
        yield row | _named("pair_accuracy", interval) | {"interval": interval.method}


def _by_group(answers: Answers, manifest: dict[str, Any]) -> dict[str, np.ndarray]:
    """Answers inside the pair (seeds, n) of every group whose classes have partners."""
    pairs = {
        group: answers.pair[:, in_group(answers.label, manifest, group)]
        for group in group_names(manifest)
    }
    return {
        group: values
        for group, values in pairs.items()
        if values.size and not np.isnan(values).any()
    }


def matrix_rows(test: Split, confidence: float) -> Iterator[Row]:
    """Rows of MATRIX: test accuracy of every cell at every resolution of the sweep, raw."""
    correct = {
        (cell, px): values
        for cell, answers in test.items()
        for px, values in sorted(answers.correct.items())
    }
    for (cell, px), interval in _intervals(correct, confidence).items():
        seeds, count = correct[cell, px].shape
        row = {
            "family": cell.family,
            "model": cell.model,
            "train_resolution": cell.resolution,
            "eval_resolution": px,
        }
        yield (
            row
            | {"n_seeds": seeds, "n": count}
            | _named("accuracy", interval)
            | {"interval": interval.method}
        )


def knee_rows(
    val: Split, manifest: dict[str, Any], margin: float, confidence: float
) -> Iterator[Row]:
    """Rows of KNEES: each model's knee over all pictures (group `all`) and inside each group's pairs, found on validation pictures.

    A group's margin is `margin` over its share of the pictures: the loss in that group alone that moves the whole by `margin`.
    """
    yield from _knees(
        val, {cell: answers.own for cell, answers in val.items()}, "all", margin, confidence
    )
    for group in group_names(manifest):
        inside = {
            cell: answers
            for cell in val
            if (answers := _by_group(val[cell], manifest).get(group)) is not None
        }
        shares = [answers.shape[1] / len(val[cell].label) for cell, answers in inside.items()]
        if shares:
            yield from _knees(val, inside, group, margin / shares[0], confidence)


def _knees(
    val: Split, correct: Mapping[Cell, np.ndarray], group: str, margin: float, confidence: float
) -> Iterator[Row]:
    curves = {
        model: curve
        for model in dict.fromkeys(cell[:2] for cell in correct)
        if (curve := _curve(val, correct, model))
    }
    pool = pool_spreads(
        [
            compute_spread(values)
            for curve in curves.values()
            for values in differences_to_best(curve)
        ]
    )
    for (family, model), curve in curves.items():
        row = {
            "family": family,
            "model": model,
            "group": group,
            "margin": margin,
            "n_val": next(iter(curve.values())).shape[1],
        }
        yield row | find_knee(curve, margin, confidence, pool)._asdict()


def _curve(
    val: Split, correct: Mapping[Cell, np.ndarray], model: tuple[str, str]
) -> dict[int, np.ndarray]:
    """A model's answers by resolution, of the seeds that finished at all of its resolutions; empty when there is none."""
    cells = [cell for cell in correct if cell[:2] == model]
    common = [
        seed for seed in val[cells[0]].seeds if all(seed in val[cell].seeds for cell in cells)
    ]
    return {
        cell.resolution: correct[cell][[val[cell].seeds.index(seed) for seed in common]]
        for cell in cells
        if common
    }


def read_costs(profiles: pd.DataFrame) -> dict[Cell, Cost]:
    """What every cell that was measured costs, from the columns of profiles.csv."""
    return {
        Cell(row["family"], row["model"], row["resolution"]): Cost(
            row["latency_ms_p50"], row["latency_ms_p90"], bool(row["valid"])
        )
        for row in single(profiles).to_dict("records")
    }


def read_environment(
    cells: Sequence[Cell], seeds: Sequence[int], runs: Path
) -> dict[str, list[Any]]:
    """Every value that each entry of the runs' environments took: more than one is a confound."""
    found: dict[str, list[Any]] = {}
    for cell in cells:
        for run in cell_runs(cell, seeds, runs):
            path = run.folder / "metrics.json"
            for name, value in (
                files.read_json(path)["environment"].items() if path.exists() else ()
            ):
                values = found.setdefault(name, [])
                if value not in values:
                    values.append(value)
    return found
