"""The sentence that heads each figure: what is seen in it, read off the same table that it draws."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from resomap.analysis.verdict import cell_name, points

COIN_TOSS, READ = 0.65, 0.9
"""Accuracy inside a pair under which its cue counts as lost, and from which as read."""


def accuracy_title(cells: pd.DataFrame) -> str:
    """How far the most accurate model climbs over its resolutions."""
    known = cells[cells["n_seeds"] > 0]
    if known.empty:
        return "No run has finished"
    top = known.loc[known["accuracy"].idxmax()]
    model = known[known["model"] == top["model"]].sort_values("resolution")
    first = model.iloc[0]
    if first["resolution"] == top["resolution"]:
        return f"{top['model']} reaches {top['accuracy']:.2f} at {top['resolution']} px"
    return f"{top['model']} climbs from {first['accuracy']:.2f} at {first['resolution']} px to {top['accuracy']:.2f} at {top['resolution']} px"


def lost_and_read(groups: pd.DataFrame, group: str) -> tuple[int | None, int | None]:
    """The largest resolution up to which a group's cue is lost for every model, and the smallest from which every model reads it."""
    by_resolution = groups[groups["group"] == group].groupby("resolution")["pair_accuracy"]
    lost = (by_resolution.max() < COIN_TOSS).cummin()
    read = (by_resolution.min() >= READ)[::-1].cummin()
    return (
        int(lost[lost].index[-1]) if lost.any() else None,
        int(read[read].index[-1]) if read.any() else None,
    )


def listing(names: Iterable[Any]) -> str:
    """`24`, `24 and 48`, `24, 48 and 96`."""
    *others, last = (str(name) for name in names)
    return f"{', '.join(others)} and {last}" if others else last


def groups_title(groups: pd.DataFrame) -> str:
    """Up to which resolution stripes are lost, the finest first."""
    striped = (
        groups.dropna(subset=["frequency"])
        .drop_duplicates("group")
        .sort_values("frequency", ascending=False)["group"]
    )
    lost = {
        group: resolution
        for group in striped
        if (resolution := lost_and_read(groups, group)[0]) is not None
    }
    if not lost:
        return (
            "No group's stripes are a coin toss for every model"
            if len(groups)
            else "No run has finished"
        )
    (first, resolution), *others = lost.items()
    rest = "".join(f", {group} ones up to {up_to} px" for group, up_to in others)
    return f"{first.capitalize()} stripes are a coin toss up to {resolution} px{rest}"


def collapse_title(runs: pd.DataFrame) -> str:
    """Up to where stripes are read, and from where they are lost, in cycles per pixel."""
    read = runs.loc[runs["pair_accuracy"] >= READ, "cycles_per_pixel"]
    lost = runs.loc[runs["pair_accuracy"] < COIN_TOSS, "cycles_per_pixel"]
    if read.empty or lost.empty:
        return "Stripes against the pixels that carry them"
    if read.max() < lost.min():
        return f"One cliff: stripes are read up to {read.max():.2f} cycles per pixel, lost from {lost.min():.2f}"
    return f"Stripes are read below {lost.min():.2f} cycles per pixel and lost above {read.max():.2f}; between, the learner decides"


def choice_title(choice: dict[str, Any]) -> str:
    """The choice in one short line."""
    margin = points(choice["rules"]["margin"])
    match choice["status"]:
        case "none":
            return "No cell can be chosen"
        case "chosen":
            return f"{cell_name(choice['choice'])} is the cheapest cell within {margin} of the best"
        case "undecided":
            return f"Undecided: {cell_name(choice['needed'])} may be within {margin} of {cell_name(choice['choice'])}"
        case _:
            if any(one["cheaper"] for one in choice["comparisons"]):
                return f"Nothing cheaper comes within {margin} of {cell_name(choice['choice'])}"
            return f"{cell_name(choice['choice'])} is the most accurate cell"


def gains(matrix: pd.DataFrame) -> pd.DataFrame:
    """Every cell tested elsewhere: `gain` is its accuracy there minus that at its own resolution, `shown` and `lost` where the intervals part."""
    own = matrix.loc[
        matrix["train_resolution"] == matrix["eval_resolution"], ["model", "train_resolution"]
    ].assign(
        **{f"accuracy_own{end}": matrix[f"accuracy{end}"] for end in ("", "_low", "_high")}
    )
    both = matrix.merge(own, on=["model", "train_resolution"])
    both["gain"] = both["accuracy"] - both["accuracy_own"]
    both["shown"] = both["accuracy_low"] > both["accuracy_own_high"]
    both["lost"] = both["accuracy_high"] < both["accuracy_own_low"]
    return both[both["train_resolution"] != both["eval_resolution"]]


def matrix_title(matrix: pd.DataFrame) -> str:
    """The largest gain from testing at another size, or that there is none, or what it loses at least."""
    elsewhere = gains(matrix)
    if elsewhere.empty:
        return (
            "Tested where it was trained: the sweep has one resolution"
            if len(matrix)
            else "No run has finished"
        )
    top = elsewhere.loc[elsewhere["gain"].idxmax()]
    if top["shown"]:
        return f"Trained at {top['train_resolution']} px, {top['model']} gains {points(top['gain'])} when tested at {top['eval_resolution']} px"
    if elsewhere["lost"].all():
        return f"Every network loses {points(-top['gain'])} or more at a size it was not trained at"
    return "No network is shown to gain at a size it was not trained at"
