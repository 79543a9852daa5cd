"""Findings about accuracy: growth with resolution, cues that are kept, transfer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.findings.baseline import beats_majority
from resomap.analysis.findings.finding import Estimate, Finding, read_estimate, shown_if
from resomap.analysis.tables import Tables
from resomap.workflow.predictions import RAW

# Accuracy inside a pair below which its cue counts as lost, and from which it counts as read.
LOST_BELOW, READ_FROM = 0.65, 0.9


def model_in_focus(tables: Tables) -> str | None:
    """Return the model that represents the others: the chosen one, else the first finished."""
    # The chosen model is the one a reader will use.
    if tables.choice["choice"]:
        return str(tables.choice["choice"]["model"])
    finished = tables.cells.loc[tables.cells["n_seeds"] > 0, "model"]
    return str(finished.iloc[0]) if len(finished) else None


def accuracy_of_models(cells: pd.DataFrame, knees: pd.DataFrame) -> list[Finding]:
    """Find the accuracy of each model at its smallest, largest and best size, and its knee.

    The state is that of the knee: `bracketed`, `below` or `above` the sweep, `open` when
    nothing smaller is shown to be worse, `unknown` with one resolution. It is `not learned`
    when the model is not shown to beat the majority class at any resolution.
    """
    finished = cells[cells["n_seeds"] > 0].sort_values("resolution")
    findings = []
    for model, rows in finished.groupby("model", sort=False):
        best = rows.loc[rows["accuracy"].idxmax()]
        ends = {"smallest": rows.iloc[0], "largest": rows.iloc[-1], "best": best}
        state, knee_subject, knee_numbers = _knee(knees, str(model))
        # The knee of a curve without a signal is that of its noise.
        if not beats_majority(rows).any():
            state, knee_subject, knee_numbers = "not learned", {}, {}
        subject = {name: int(row["resolution"]) for name, row in ends.items()}
        numbers = {name: read_estimate(row, "accuracy", "n_test") for name, row in ends.items()}
        numbers["majority"] = Estimate(float(best["majority_accuracy"]), n=int(best["n_test"]))
        findings.append(
            Finding(
                kind="accuracy of a model",
                state=state,
                evidence="tables/cells.csv, tables/knees.csv",
                subject={
                    "model": str(model),
                    "climbs": _climbs(numbers, knee_subject),
                    **subject,
                    **knee_subject,
                },
                numbers={**numbers, **knee_numbers},
            )
        )
    return findings


def _climbs(numbers: Mapping[str, Estimate], knee: Mapping[str, Any]) -> bool:
    """Return whether the smallest size is shown to be less accurate than the best."""
    low, high = numbers["best"].low, numbers["smallest"].high
    # Separate intervals are stricter than an interval of the difference.
    separate = low is not None and high is not None and low > high
    return separate or knee.get("knee_above") is not None


def _knee(
    knees: pd.DataFrame, model: str
) -> tuple[str, dict[str, int | None], dict[str, Estimate]]:
    """Return the state of a model's knee, its bracket in px, and its margin."""
    # `both` marks a sweep of one resolution, which has no knee.
    rows = knees[(knees["model"] == model) & (knees["group"] == "all")]
    if rows.empty or rows["censored"].iloc[0] == "both":
        return "unknown", {}, {}
    knee = rows.iloc[0]
    lower = None if np.isnan(knee["lower"]) else int(knee["lower"])
    bracket = {"knee_above": lower, "knee_at_most": int(knee["upper"])}
    margin = {"margin": Estimate(float(knee["margin"]))}
    if isinstance(knee["censored"], str) and knee["censored"]:
        return str(knee["censored"]), bracket, margin
    if lower is None:
        return "open", bracket, margin
    return "bracketed", bracket, margin


def most_accurate_model(models: Sequence[Finding]) -> Finding | None:
    """Return the finding of the model with the highest accuracy; None without one.

    A model that has learned comes before one that has not.
    """

    def rank(finding: Finding) -> tuple[bool, float]:
        return finding.state != "not learned", finding.numbers["best"].value

    return max(models, key=rank, default=None)


def lost_and_read(groups: pd.DataFrame, group: str) -> tuple[int | None, int | None]:
    """Return up to which resolution all models are shown to lose a cue, and from which to read it."""
    rows = groups[groups["group"] == group].groupby("resolution")
    # Whole intervals: with few images a mean near a half shows nothing.
    # cummin: a lucky resolution above a lost one does not count as read, nor the reverse.
    lost = (rows["pair_accuracy_high"].max() < LOST_BELOW).cummin()
    read = (rows["pair_accuracy_low"].min() >= READ_FROM)[::-1].cummin()
    return _last_resolution(lost), _last_resolution(read)


def _last_resolution(is_true: pd.Series) -> int | None:
    """Return the last resolution, px, of the index at which a series is true."""
    return int(is_true[is_true].index[-1]) if is_true.any() else None


def stripe_findings(
    groups: pd.DataFrame, alarms: pd.DataFrame | None = None, model: str | None = None
) -> list[Finding]:
    """Find up to which resolution stripes are a coin toss and from which they are read.

    For one model, with its numbers, or without `model` for all at once. The state is `wrong
    reason` when the alarm fires at the first resolution that seems read, `shown` when the group
    is lost or read anywhere, else `not shown`.
    """
    of_model = groups if model is None else groups[groups["model"] == model]
    striped = groups.dropna(subset=["frequency"]).drop_duplicates("group")
    striped = striped.sort_values("frequency", ascending=False)
    findings = []
    for group, frequency in zip(striped["group"], striped["frequency"], strict=True):
        lost, read = lost_and_read(of_model, group)
        state = shown_if(lost is not None or read is not None)
        if alarms is not None and _fires(alarms, model, group, read):
            state = "wrong reason"
        numbers = {"frequency": Estimate(frequency)}
        if model is not None:
            numbers |= _accuracies(of_model, group, {"lost": lost, "read": read})
        subject = {"model": model, "group": group, "lost_to": lost, "read_from": read}
        findings.append(Finding("stripes", state, "tables/groups.csv", subject, numbers))
    return findings


def _fires(alarms: pd.DataFrame, model: str | None, group: str, resolution: int | None) -> bool:
    """Return whether the alarm fires for a group at a resolution."""
    rows = alarms[(alarms["model"] == model) & (alarms["state"] == "fires")]
    return bool(((rows["group"] == group) & (rows["resolution"] == resolution)).any())


def _accuracies(
    rows: pd.DataFrame, group: str, places: dict[str, int | None]
) -> dict[str, Estimate]:
    """Return the accuracy inside the pairs of a group at the named resolutions."""
    of_group = rows[rows["group"] == group].set_index("resolution")
    return {
        name: read_estimate(of_group.loc[px], "pair_accuracy")
        for name, px in places.items()
        if px is not None
    }


def sampling_theory(groups: pd.DataFrame, cells: pd.DataFrame, model: str) -> Finding | None:
    """Compare the accuracy of a model with sampling theory; None without stripes.

    Theory gives 1 to a group whose stripes lie below the Nyquist limit, and 1/2 to another.
    """
    own = cells[(cells["model"] == model) & (cells["n_seeds"] > 0)].sort_values("resolution")
    # Groups without stripes have no frequency and so survive at every resolution.
    frequencies = groups.drop_duplicates("group")["frequency"].fillna(0).to_numpy()
    if not frequencies.any() or own.empty:
        return None
    parts = []
    for row in own.to_dict("records"):
        predicted = float(np.where(2 * frequencies <= row["resolution"], 1, 0.5).mean())
        numbers = {
            "predicted": Estimate(predicted),
            "accuracy": read_estimate(row, "accuracy", "n_test"),
        }
        subject = {"model": model, "resolution": row["resolution"]}
        parts.append(
            Finding("predicted accuracy", "shown", "tables/cells.csv", subject, numbers)
        )
    return Finding(
        kind="sampling theory",
        state="shown",
        evidence="tables/groups.csv, tables/cells.csv",
        subject={"model": model},
        parts=tuple(parts),
    )


def stripe_cliff(runs: pd.DataFrame) -> Finding:
    """Find up to how many cycles per pixel stripes are read, and from how many they are lost.

    `runs` has `pair_accuracy` and `cycles_per_pixel`. The state is `shown` when the two do not
    overlap, `open` when they do, `unknown` when one is missing.
    """
    # Every run counts here, since one axis for all groups and models shows outliers.
    read = runs.loc[runs["pair_accuracy"] >= READ_FROM, "cycles_per_pixel"]
    lost = runs.loc[runs["pair_accuracy"] < LOST_BELOW, "cycles_per_pixel"]
    if read.empty or lost.empty:
        return Finding("stripe cliff", "unknown", "tables/classes.csv")
    numbers = {
        "read_up_to": Estimate(read.max(), n=len(read)),
        "lost_from": Estimate(lost.min(), n=len(lost)),
    }
    state = "shown" if read.max() < lost.min() else "open"
    return Finding("stripe cliff", state, "tables/classes.csv", numbers=numbers)


def transfer(matrix: pd.DataFrame) -> Finding:
    """Find the largest gain, or smallest loss, from testing at another resolution in some mode.

    The state is `gain` or `loss` when the intervals of the accuracies do not overlap (a loss:
    for every pair of resolutions), `not shown` otherwise, `one resolution`, or `unknown`
    without a run.
    """
    pairs = transfer_pairs(matrix)
    if matrix.empty:
        return Finding("transfer", "unknown", "tables/matrix.csv")
    if pairs.empty:
        return Finding("transfer", "one resolution", "tables/matrix.csv")
    top = pairs.loc[pairs["gain"].idxmax()]
    state = "not shown"
    # Separate intervals are stricter than an interval of the difference, and need no pairing.
    if top["accuracy_low"] > top["accuracy_own_high"]:
        state = "gain"
    elif (pairs["accuracy_high"] < pairs["accuracy_own_low"]).all():
        state = "loss"
    subject: dict[str, Any] = {
        "model": top["model"],
        "trained_at": int(top["train_resolution"]),
        "tested_at": int(top["eval_resolution"]),
        "mode": top["mode"],
    }
    numbers = {
        "own": read_estimate(top, "accuracy_own"),
        "elsewhere": read_estimate(top, "accuracy"),
        "gain": Estimate(float(top["gain"]), n=len(pairs)),
    }
    return Finding("transfer", state, "tables/matrix.csv", subject, numbers)


def transfer_pairs(matrix: pd.DataFrame) -> pd.DataFrame:
    """Return every cell tested at another resolution, with `accuracy_own` and `gain`.

    The own accuracy is that as trained, also of an adapted network.
    """
    trained_here = matrix["train_resolution"] == matrix["eval_resolution"]
    trained_here &= matrix["mode"] == RAW
    columns = {f"accuracy{end}": f"accuracy_own{end}" for end in ("", "_low", "_high")}
    own = matrix.loc[trained_here, ["model", "train_resolution", *columns]]
    own = own.rename(columns=columns)
    both = matrix.merge(own, on=["model", "train_resolution"])
    both["gain"] = both["accuracy"] - both["accuracy_own"]
    return both[both["train_resolution"] != both["eval_resolution"]]


def adaptations(matrix: pd.DataFrame) -> list[Finding]:
    """Compare each mode with raw: the mean accuracy over all pairs of unequal resolutions.

    A mode counts the pairs of the networks that have it.
    """
    keys = ["model", "train_resolution", "eval_resolution"]
    away = matrix[matrix["train_resolution"] != matrix["eval_resolution"]]
    raw = away[away["mode"] == RAW].set_index(keys)["accuracy"]
    findings = []
    for mode, rows in away[away["mode"] != RAW].groupby("mode", sort=False):
        adapted = rows.set_index(keys)["accuracy"]
        numbers = {
            "raw": Estimate(float(raw.loc[adapted.index].mean()), n=len(adapted)),
            "adapted": Estimate(float(adapted.mean()), n=len(adapted)),
        }
        subject = {"mode": mode}
        findings.append(
            Finding("adaptation", "described", "tables/matrix.csv", subject, numbers)
        )
    return findings
