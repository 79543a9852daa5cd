"""What a reader must know before trusting the numbers: the marks that the results carry."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from resomap.report.methods import method_name
from resomap.report.tables import Tables
from resomap.report.text import evidence
from resomap.report.text.cost_titles import measurement_name

SMALLEST_GRID = 4
"""Maps on a coarser grid than this are not meaningful."""
MOST_NAMED = 6
MISSING = {
    "diverged": "diverged",
    "infeasible": "did not fit into memory",
    "failed": "has ended without a result (the same command tries again; why stands in logs/train)",
    "training": "has not finished training yet",
    "waiting": "has no results yet",
}


def limit_sentences(tables: Tables, native_resolution: int) -> list[str]:
    """Every mark on this sweep, the gravest first; the last ones hold for any."""
    return [
        *_changed_recipes(tables.runs),
        *_disturbed(tables.profiles),
        *_unmeasured(tables.profiles),
        *_few_seeds(tables.cells),
        *_confounds(tables.environment),
        *above_native(tables.cells["resolution"], native_resolution),
        *evidence.limit_sentences(tables),
        *_coarse_maps(tables.explanations),
        "Intervals hold for this training set: other training pictures would add to them.",
    ]


def missing_sentences(runs: pd.DataFrame) -> Iterator[str]:
    """Every run without a number, by what became of it, with the reason where its training gave one."""
    for status, words in MISSING.items():
        found = runs[runs["status"] == status]
        if len(found):
            is_one = "has" if len(found) == 1 else "have"
            yield f"{len(found)} of {len(runs)} runs {words.replace('has', is_one)}: {_names(found)}."


def _names(runs: pd.DataFrame) -> str:
    named = [
        f"{row['model']} at {row['resolution']} px, seed {row['seed']}{_reason(row)}"
        for row in runs.to_dict("records")
    ]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return f"{'; '.join(named[:MOST_NAMED])}{more}"


def _reason(row: dict[Any, Any]) -> str:
    return f" ({row['reason']})" if isinstance(row["reason"], str) else ""


def _changed_recipes(runs: pd.DataFrame) -> Iterator[str]:
    """Runs that had to be trained otherwise than their neighbours."""
    trained = runs[runs["status"] == "ok"]
    halved = trained[trained["learning_rate"] < trained["learning_rate"].max()]
    if len(halved):
        yield f"Trained at half the learning rate, after a loss that was not finite: {_names(halved)}. A confound of every comparison with them."
    small = trained[
        trained["micro_batch"].fillna(math.inf) < trained["micro_batch"].fillna(math.inf).max()
    ]
    if len(small):
        yield (
            f"Memory ran out, so that the batch was accumulated from smaller ones: {_names(small)}. With BatchNorm, whose statistics are "
            "those of the smaller ones, a confound."
        )


def _disturbed(profiles: pd.DataFrame) -> Iterator[str]:
    disturbed = profiles[(profiles["status"] == "ok") & (profiles["valid"] == False)]  # noqa: E712
    if len(disturbed):
        reasons = disturbed["why_invalid"].fillna("disturbed").value_counts()
        told = (
            reasons.index[0]
            if len(reasons) == 1
            else ", ".join(f"{count} {reason}" for reason, count in reasons.items())
        )
        yield (
            f"{len(disturbed)} of {len(profiles)} cost measurements are marked invalid ({told}){_measurements(disturbed, profiles)}. "
            "Compare them with care, or measure again on an idle machine."
        )


def _unmeasured(profiles: pd.DataFrame) -> Iterator[str]:
    for status, words in {
        "infeasible": "did not fit into memory",
        "unsupported": "cannot be run on this machine",
    }.items():
        found = profiles[profiles["status"] == status]
        if len(found):
            yield f"{len(found)} of {len(profiles)} cost measurements {words}{_measurements(found, profiles)}."


def _measurements(rows: pd.DataFrame, profiles: pd.DataFrame) -> str:
    """Their names after a colon, unless they are all that there are."""
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    named = "; ".join(measurement_name(row) for row in rows[:MOST_NAMED].to_dict("records"))
    return "" if len(rows) == len(profiles) else f": {named}{more}"


def _few_seeds(cells: pd.DataFrame) -> Iterator[str]:
    finished = cells[cells["n_seeds"] > 0]
    if (finished["n_seeds"] == 1).any():
        yield (
            f"{(finished['n_seeds'] == 1).sum()} of {len(finished)} cells have one seed: their intervals are over pictures (Wilson) and speak of "
            "that network only, not of the next one trained."
        )
    if (finished["n_seeds"] == 2).any():
        yield "Two seeds say little about their own spread: it is pooled over cells of like spread (Cochran's C), in a crossed t interval."


def _confounds(environment: dict[str, list[Any]]) -> Iterator[str]:
    for name, values in environment.items():
        if len(values) > 1:
            yield f"Runs differ in {name} ({', '.join(str(value) for value in values[:MOST_NAMED])}): a confound of every comparison between them."


def above_native(resolutions: Iterable[int], native_resolution: int) -> Iterator[str]:
    """That resolutions above the stored one show nothing more."""
    above = sorted(
        {int(resolution) for resolution in resolutions if resolution > native_resolution}
    )
    if above:
        yield (
            f"Information ends at {native_resolution} px, as pictures are stored; {', '.join(map(str, above))} px add pixels and no detail, "
            "so gains there are due to the grid."
        )


def _coarse_maps(explanations: pd.DataFrame) -> Iterator[str]:
    coarse = explanations[explanations["grid"] < SMALLEST_GRID]
    for method, rows in coarse.groupby("method", sort=False):
        places = ", ".join(f"{px} px" for px in sorted(set(rows["resolution"])))
        yield f"{method_name(str(method))} maps at {places} have fewer than {SMALLEST_GRID} x {SMALLEST_GRID} cells: not meaningful."
