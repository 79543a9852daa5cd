"""What a sweep shows, in sentences: pure functions from tables, each claim with its number and interval."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.verdict import points
from resomap.report.tables import Tables
from resomap.report.text.titles import gains, lost_and_read, matrix_title

MOST_MODELS = 4


def focus_model(tables: Tables) -> str | None:
    """The chosen model, else the first with a finished run: the one whose numbers stand for the others in a sentence."""
    if tables.choice["choice"]:
        return str(tables.choice["choice"]["model"])
    finished = tables.cells.loc[tables.cells["n_seeds"] > 0, "model"]
    return str(finished.iloc[0]) if len(finished) else None


def number(row: Any, name: str, confidence: float | None = None) -> str:
    """`0.984 (0.978-0.989)`, or `0.984 (95 % interval 0.978-0.989)` where the confidence is given."""
    said = "" if confidence is None else f"{100 * confidence:g} % interval "
    return (
        f"{row[name]:.3f} ({said}{row[f'{name}_low']:.3f}\N{EN DASH}{row[f'{name}_high']:.3f})"
    )


def accuracy_sentences(
    cells: pd.DataFrame, knees: pd.DataFrame, confidence: float
) -> Iterator[str]:
    """Each model from its smallest to its largest resolution, and its knee."""
    known = cells[cells["n_seeds"] > 0].sort_values("resolution")
    for count, (model, rows) in enumerate(known.groupby("model", sort=False)):
        if count < MOST_MODELS:
            yield _curve(str(model), rows, confidence if count == 0 else None) + _knee(
                knees, str(model)
            )


def _curve(model: str, rows: pd.DataFrame, confidence: float | None) -> str:
    first, last = rows.iloc[0], rows.iloc[-1]
    start = (
        f"{model} scores {number(first, 'accuracy', confidence)} at {first['resolution']} px"
    )
    return (
        f"{start}."
        if len(rows) == 1
        else f"{start} and {number(last, 'accuracy')} at {last['resolution']} px."
    )


def _knee(knees: pd.DataFrame, model: str) -> str:
    found = knees[(knees["model"] == model) & (knees["group"] == "all")]
    if found.empty or found["censored"].iloc[0] == "both":
        return ""
    knee = found.iloc[0]
    within = f"within {points(knee['margin'])} of its best"
    match knee["censored"]:
        case "below":
            return f" Already {knee['upper']} px is shown to be {within}: the knee lies at or below it."
        case "above":
            return f" Only {knee['upper']} px is shown to be {within}: the sweep ends before the curve is shown to level off."
    if np.isnan(knee["lower"]):
        return f" From {knee['upper']} px on it is shown to be {within}; nothing smaller is shown to be worse."
    return f" Its knee lies above {knee['lower']:.0f} px and at or below {knee['upper']} px, the first size shown to be {within}."


def sampling_sentences(
    groups: pd.DataFrame,
    cells: pd.DataFrame,
    alarms: pd.DataFrame,
    model: str,
    confidence: float,
) -> Iterator[str]:
    """For each group of stripes where they are a coin toss and from where they are read; then what sampling theory had predicted."""
    striped = (
        groups.dropna(subset=["frequency"])
        .drop_duplicates("group")
        .sort_values("frequency", ascending=False)
    )
    own = groups[groups["model"] == model].set_index(["group", "resolution"])
    fired = alarms[(alarms["model"] == model) & (alarms["state"] == "fires")]
    wrong = set(zip(fired["group"], fired["resolution"], strict=True))
    for name, frequency in zip(striped["group"], striped["frequency"], strict=True):
        lost, read = lost_and_read(groups[groups["model"] == model], name)
        about = f"({frequency:g} cycles across the picture, Nyquist limit {2 * frequency:g} px)"
        told = []
        if lost is not None:
            told.append(
                f"a coin toss up to {lost} px: {number(own.loc[(name, lost)], 'pair_accuracy', confidence)}"
            )
        if read is not None:
            word = (
                "answered right, by something else, from"
                if (name, read) in wrong
                else "read from"
            )
            told.append(
                f"{word} {read} px: {number(own.loc[(name, read)], 'pair_accuracy', None if told else confidence)}"
            )
        if told:
            yield f"For {model} the {name} stripes {about} are {'; '.join(told)}."
    yield from _staircase(groups, cells, model)


def _staircase(groups: pd.DataFrame, cells: pd.DataFrame, model: str) -> Iterator[str]:
    """Sampling theory gives 1 to a group whose stripes lie below Nyquist, 1/2 to another."""
    found = cells[(cells["model"] == model) & (cells["n_seeds"] > 0)].sort_values("resolution")
    frequencies = groups.drop_duplicates("group")["frequency"].fillna(0).to_numpy()
    if not frequencies.any() or found.empty:
        return
    predicted = [
        float(np.where(2 * frequencies <= resolution, 1, 0.5).mean())
        for resolution in found["resolution"]
    ]
    yield (
        f"Sampling theory alone predicts {_series(predicted)} at {_series(found['resolution'], '')} px; "
        f"{model} reaches {_series(found['accuracy'])}."
    )


def _series(values: Any, form: str = ".2f") -> str:
    return ", ".join(f"{value:{form}}" for value in values)


def transfer_sentences(matrix: pd.DataFrame) -> Iterator[str]:
    """The largest gain, or smallest loss, from testing at another resolution than was trained at."""
    elsewhere = gains(matrix)
    if elsewhere.empty:
        return
    top = elsewhere.loc[elsewhere["gain"].idxmax()]
    yield (
        f"{matrix_title(matrix)}: {top['model']} trained at {top['train_resolution']} px scores {number(top, 'accuracy_own')} there and "
        f"{number(top, 'accuracy')} at {top['eval_resolution']} px, the most favourable of {len(elsewhere)} pairs."
    )
