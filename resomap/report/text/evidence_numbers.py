"""Numbers of evidence that figures, their titles and sentences share."""

from typing import Any

import pandas as pd

from resomap.report.methods import (
    FailedMethods,
    attribution_methods,
    drop_failed_methods,
    method_name,
)

FOLLOWS = 0.1
"""Difference of corrected relevance from which the evidence counts as following the cue."""
CONTRAST = ("medium", "fine")
"""Groups whose difference shows evidence that follows the cue: what lifts both, as a finer grid does, cancels; that only one survives does not."""
RUN = ["family", "model", "resolution", "seed"]


def corrected(explanations: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Relevance mass over the best that the map's grid allows, a ratio of means over runs; NaN where there are no masks."""
    means = explanations.groupby(keys, sort=False)[
        ["relevance_mass", "relevance_mass_best"]
    ].mean()
    return means["relevance_mass"] / means["relevance_mass_best"]


def medium_minus_fine(evidence: pd.DataFrame) -> pd.DataFrame:
    """Corrected relevance of the medium group minus that of the fine one: a row a resolution, a column a method, means over runs."""
    shares = corrected(evidence, ["resolution", "method", "group"]).unstack("group")
    return (shares[CONTRAST[0]] - shares[CONTRAST[1]]).unstack("method").sort_index()


def following(evidence: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Resolutions, px, at which the medium group has more relevance than the fine one: by every method, and by an edge filter."""
    differences = medium_minus_fine(evidence)
    own = differences[attribution_methods(evidence)].dropna(how="all")
    edge = differences["edge"] if "edge" in differences else pd.Series(dtype=float)
    return list(own.index[((own > FOLLOWS) | own.isna()).all(axis=1)]), list(
        edge.index[edge > FOLLOWS]
    )


def compared_maps(agreement: pd.DataFrame) -> pd.DataFrame:
    """Rows about signed maps of trained networks, by rank correlation over all pictures."""
    return agreement[
        (agreement["network"] == "trained")
        & (agreement["population"] == "all")
        & (agreement["measure"] == "spearman")
    ]


def widest(agreement: pd.DataFrame) -> pd.DataFrame:
    """Rows that compare the smallest with the largest resolution; none where there is only one."""
    ends = (agreement["low"] == agreement["low"].min()) & (
        agreement["high"] == agreement["high"].max()
    )
    return agreement[ends & (agreement["low"] < agreement["high"])]


def unstruck_ends(
    agreement: pd.DataFrame, model: str | None, struck: FailedMethods
) -> pd.DataFrame:
    """How a model's maps compare between the smallest and the largest resolution, by methods that were struck out at neither."""
    ends = widest(compared_maps(agreement[agreement["model"] == model]))
    return drop_failed_methods(drop_failed_methods(ends, struck, "low"), struck, "high")


def reading_name(method: str, block: str) -> str:
    """`Grad-CAM`, or `Grad-CAM, one block` where the same block was read at every resolution."""
    return method_name(method) + (", one block" if block == "fixed" else "")


def raw(row: Any) -> float:
    """Agreement across seeds, with one seed that of the same seed."""
    return float(row["same_seed"] if pd.isna(row["observed"]) else row["observed"])


def plain(value: float) -> str:
    """`0.37`, with a true minus sign, and none before a nought."""
    return f"{round(value, 2) + 0:.2f}".replace("-", "\N{MINUS SIGN}")


def ends_of(row: Any, name: str) -> str:
    """`0.31-0.43`, or `-0.10 to 0.43`."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return (
        f"{plain(low)} to {plain(high)}" if low < 0 else f"{plain(low)}\N{EN DASH}{plain(high)}"
    )


def faithfulness_gains(faithfulness: pd.DataFrame) -> pd.DataFrame:
    """Insertion minus deletion of every order, and `gain`, that beyond the random order's of the same run and bandwidth."""
    rows = faithfulness.assign(score=faithfulness["insertion"] - faithfulness["deletion"])
    chance = rows.loc[rows["method"] == "random", [*RUN, "bandwidth", "score"]].rename(
        columns={"score": "random_score"}
    )
    both = rows[rows["method"] != "random"].merge(chance, on=[*RUN, "bandwidth"])
    return both.assign(gain=both["score"] - both["random_score"])
