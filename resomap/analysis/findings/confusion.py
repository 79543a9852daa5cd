"""Findings about confusion: which classes a cell takes for each other, and which pixels separate."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from resomap.analysis.findings.finding import Estimate, Finding
from resomap.analysis.statistics import wilson

PAIR = ["first", "second"]


def top_confusion(confusion: pd.DataFrame, model: str | None, resolution: int) -> Finding:
    """Find the largest share of a class's test images that is predicted as one other class.

    The state is `described`, `none` where no prediction is wrong, `unknown` without a run.
    """
    evidence = "tables/confusion.csv"
    own = confusion[(confusion["model"] == model) & (confusion["resolution"] == resolution)]
    wrong = own[own["class"] != own["predicted"]]
    subject = {"model": model, "resolution": resolution}
    if own.empty:
        return Finding("confusion", "unknown", evidence, subject)
    if wrong.empty:
        return Finding("confusion", "none", evidence, subject)
    top = wrong.loc[(wrong["count"] / wrong["n"]).idxmax()]
    subject |= {"class": str(top["class"]), "predicted": str(top["predicted"])}
    share = Estimate(float(top["count"] / top["n"]), n=int(top["n"]))
    return Finding("confusion", "described", evidence, subject, {"share": share})


def separated_pairs(
    confusion: pd.DataFrame, model: str | None, confidence: float
) -> list[Finding]:
    """Find the pairs of classes that are confused at the smallest size, and less at the largest.

    A pair counts in both directions, and its images are those of both classes. The intervals of
    its two shares must not overlap, at a level that all confused pairs of the model share. A
    part per resolution has the share there. Most separated first.
    """
    own = confusion[confusion["model"] == model]
    sizes = sorted(own["resolution"].unique())
    if len(sizes) < 2:
        return []
    shares = _pair_shares(own)
    shared = 1 - (1 - confidence) / max(len(shares.drop_duplicates(PAIR)), 1)
    found = []
    for names, rows in shares.groupby(PAIR, sort=False):
        of_pair = rows.set_index("resolution").reindex(sizes)
        # A size at which no image of the pair is confused has no row, but the same images.
        of_pair = of_pair.fillna({"count": 0}).ffill().bfill()
        ends = [_share(of_pair.loc[px], shared) for px in (sizes[0], sizes[-1])]
        assert ends[0].low is not None and ends[1].high is not None
        if ends[0].low > ends[1].high:
            found.append(_separation(model, names, of_pair, confidence))
    return sorted(found, key=lambda one: -one.numbers["drop"].value)


def _pair_shares(confusion: pd.DataFrame) -> pd.DataFrame:
    """Return a row per pair of classes and resolution at which an image of it is confused."""
    wrong = confusion[confusion["class"] != confusion["predicted"]]
    named = wrong.assign(
        first=wrong[["class", "predicted"]].min(axis=1),
        second=wrong[["class", "predicted"]].max(axis=1),
    )
    counts = named.groupby(["resolution", *PAIR], as_index=False)["count"].sum()
    images = confusion.drop_duplicates(["resolution", "class"])
    for name in PAIR:
        of_class = images.rename(columns={"class": name, "n": f"n_{name}"})
        columns = ["resolution", name, f"n_{name}", "n_seeds"]
        counts = counts.merge(of_class[columns], on=["resolution", name], how="left")
        counts = counts.rename(columns={"n_seeds": f"n_seeds_{name}"})
    # A class without test images is only ever predicted.
    counts["n"] = counts["n_first"].fillna(0) + counts["n_second"].fillna(0)
    counts["n_seeds"] = counts["n_seeds_first"].fillna(counts["n_seeds_second"])
    return counts


def _share(row: Any, confidence: float) -> Estimate:
    """Return the share of the images of a pair that are confused, with its interval."""
    share = float(row["count"] / row["n"])
    # Seeds predict the same images, so they count once: intervals are rather too wide.
    low, high = wilson(share, row["n"] / row["n_seeds"], confidence)
    return Estimate(share, low, high, int(row["n"]))


def _separation(
    model: str | None, names: Any, of_pair: pd.DataFrame, confidence: float
) -> Finding:
    shares = {int(px): _share(row, confidence) for px, row in of_pair.iterrows()}
    smallest, *_, largest = shares.values()
    return Finding(
        kind="separated classes",
        state="shown",
        evidence="tables/confusion.csv",
        subject={"model": model, "first": str(names[0]), "second": str(names[1])},
        numbers={
            "smallest": smallest,
            "largest": largest,
            "drop": Estimate(smallest.value - largest.value),
        },
        parts=tuple(_confused_at(shares)),
    )


def _confused_at(shares: dict[int, Estimate]) -> Iterator[Finding]:
    for px, share in shares.items():
        subject = {"resolution": px}
        yield Finding("confused classes", "described", "", subject, {"share": share})
