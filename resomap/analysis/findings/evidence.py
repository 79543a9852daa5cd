"""Findings about evidence: localisation, contrast, faithfulness, interventions, alarm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.findings.finding import Estimate, Finding, read_estimate, select
from resomap.analysis.sanity_check import (
    BASELINES,
    FailedMethods,
    attribution_methods,
    drop_failed_methods,
)

# Difference of corrected relevance from which the evidence counts as following the cue.
FOLLOWS_FROM = 0.1
# Groups whose difference shows whether evidence follows the cue. What raises both, such as a
# finer grid, cancels; that only one of them survives does not.
CONTRAST_GROUPS = ("medium", "fine")
RUN_KEYS = ["family", "model", "resolution", "seed"]
ALARM_KEYS = ["family", "model", "resolution", "group"]


def corrected_relevance(explanations: pd.DataFrame, keys: list[str]) -> pd.Series:
    """Compute relevance mass over the best that the grid allows, a ratio of means over runs.

    NaN without masks.
    """
    means = explanations.groupby(keys, sort=False)[
        ["relevance_mass", "relevance_mass_best"]
    ].mean()
    return means["relevance_mass"] / means["relevance_mass_best"]


def medium_minus_fine(explanations: pd.DataFrame) -> pd.DataFrame:
    """Compute corrected relevance of medium minus fine: rows resolutions, columns methods."""
    # A difference of groups cancels what changes for both, such as the grid of the map.
    keys = ["resolution", "method", "group"]
    shares = corrected_relevance(explanations, keys).unstack("group")
    medium, fine = CONTRAST_GROUPS
    return (shares[medium] - shares[fine]).unstack("method").sort_index()


def has_contrast(explanations: pd.DataFrame) -> bool:
    """Return whether methods were measured on both groups of the contrast."""
    methods = explanations["method"].isin(attribution_methods(explanations))
    return set(CONTRAST_GROUPS) <= set(explanations.loc[methods, "group"])


def localisation(
    explanations: pd.DataFrame, failed: FailedMethods, model: str | None = None
) -> Finding:
    """Find how much of the relevance lies on the object at both ends of the sweep.

    For one model, or for all at once. A part per method and baseline. Methods that fail the
    sanity check are left out. The state is `unknown` without masks.
    """
    rows = _localisation_rows(explanations, failed, model)
    methods = attribution_methods(rows)
    of_all = rows[rows["group"] == "all"]
    if not methods or of_all.empty:
        return Finding("localisation", "unknown", "tables/explanations.csv")
    shares = corrected_relevance(of_all, ["resolution", "method"]).unstack("method")
    shares = shares.sort_index()
    at_largest = of_all[
        (of_all["resolution"] == shares.index[-1]) & of_all["method"].isin(methods)
    ]
    return Finding(
        kind="localisation",
        state="shown",
        evidence="tables/explanations.csv",
        subject={"model": model, "smallest": shares.index[0], "largest": shares.index[-1]},
        numbers={
            "object_area": Estimate(float(rows["mask_area"].mean())),
            "relevance_at_largest": Estimate(float(at_largest["relevance_mass"].mean())),
            "area_at_largest": Estimate(float(at_largest["mask_area"].mean())),
        },
        parts=_at_both_ends("relevance on the object", shares, [*methods, *BASELINES]),
    )


def _localisation_rows(
    explanations: pd.DataFrame, failed: FailedMethods, model: str | None
) -> pd.DataFrame:
    """Select the rows of a model, or of all, with masks and by methods that pass."""
    rows = explanations.dropna(subset=["relevance_mass"])
    if model is not None:
        rows = rows[rows["model"] == model]
    return drop_failed_methods(rows, failed)


def _at_both_ends(
    kind: str, table: pd.DataFrame, methods: Sequence[str]
) -> tuple[Finding, ...]:
    """Return a finding per method, a column of `table`, that is known at both ends."""
    # A method that failed at one end only has no comparison between the ends.
    ends = table.iloc[[0, -1]].dropna(axis=1)
    parts = []
    for method in methods:
        if method in ends:
            smallest, largest = ends[method].to_numpy(float)
            numbers = {"smallest": Estimate(smallest), "largest": Estimate(largest)}
            parts.append(Finding(kind, "shown", "", {"method": method}, numbers))
    return tuple(parts)


def contrast(
    explanations: pd.DataFrame, failed: FailedMethods, model: str | None = None
) -> Finding | None:
    """Find whether relevance follows the surviving stripes: on medium more than on fine.

    A part per resolution, with the mean over methods and the value of the edge filter. The
    state is `shown` where every method agrees at some resolution, `edges too` where the edge
    filter, which does not use the model, does so at all of them, else `not shown`. None without
    the two groups.
    """
    rows = _localisation_rows(explanations, failed, model)
    if not has_contrast(rows):
        return None
    differences = medium_minus_fine(rows)
    methods = attribution_methods(rows)
    own = differences[methods]
    edge = differences.get("edge")
    # A method that is unknown at a resolution neither supports nor prevents the claim there.
    known = own.dropna(how="all")
    agrees = ((known > FOLLOWS_FROM) | known.isna()).all(axis=1)
    followed = [int(px) for px in known.index[agrees]]
    edges_at = []
    if edge is not None:
        edges_at = [px for px in followed if edge.get(px, 0) > FOLLOWS_FROM]
    parts = []
    for px, value in own.mean(axis=1).items():
        numbers = {"methods": Estimate(float(value))}
        if edge is not None:
            numbers["edge"] = Estimate(float(edge[px]))
        parts.append(Finding("medium minus fine", "shown", "", {"resolution": px}, numbers))
    state = "not shown"
    if followed:
        state = "edges too" if edges_at == followed else "shown"
    return Finding(
        kind="contrast",
        state=state,
        evidence="tables/explanations.csv",
        subject={
            "model": model,
            "methods": methods,
            "followed_at": followed,
            "edges_at": edges_at,
        },
        parts=tuple(parts),
    )


def faithfulness_gains(faithfulness: pd.DataFrame) -> pd.DataFrame:
    """Compute `gain`, the excess of insertion minus deletion over the random order."""
    rows = faithfulness.assign(score=faithfulness["insertion"] - faithfulness["deletion"])
    # Any order gains something by chance; the random order of the same run measures it.
    random = rows.loc[rows["method"] == "random", [*RUN_KEYS, "bandwidth", "score"]]
    random = random.rename(columns={"score": "random_score"})
    both = rows[rows["method"] != "random"].merge(random, on=[*RUN_KEYS, "bandwidth"])
    return both.assign(gain=both["score"] - both["random_score"])


def faithful_methods(gains: pd.DataFrame) -> Finding:
    """Find which methods beat the random order and the centre everywhere.

    The state is `all`, `some`, `none`, or `unknown` without a measurement.
    """
    evidence = "tables/faithfulness.csv"
    if gains.empty:
        return Finding("faithful methods", "unknown", evidence)
    table = gains.pivot_table(index=[*RUN_KEYS, "bandwidth"], columns="method", values="gain")
    methods = attribution_methods(gains)
    faithful = []
    for method in methods:
        own = table[method].dropna()
        # A centre worse than chance is no rival: chance is then the bar.
        rival = np.maximum(table["centre"], 0)[own.index]
        if (own > rival).all():
            faithful.append(method)
    others = [method for method in methods if method not in faithful]
    state = "some"
    if not faithful:
        state = "none"
    elif not others and len(methods) > 1:
        state = "all"
    subject = {"methods": faithful, "others": others}
    return Finding("faithful methods", state, evidence, subject)


def faithfulness_of_model(gains: pd.DataFrame, model: str) -> Finding | None:
    """Find the gain of each method over a random order at both ends of the sweep."""
    # Coarse maps have only the smallest bandwidth, so methods compare fairly there.
    smallest = gains["bandwidth"].min()
    own = gains[(gains["model"] == model) & (gains["bandwidth"] == smallest)]
    if own.empty:
        return None
    table = own.groupby(["resolution", "method"])["gain"].mean().unstack("method").sort_index()
    return Finding(
        kind="faithfulness",
        state="shown",
        evidence="tables/faithfulness.csv",
        subject={
            "model": model,
            "smallest": table.index[0],
            "largest": table.index[-1],
            "cells_per_side": int(smallest),
        },
        parts=_at_both_ends(
            "gain over a random order", table, [*attribution_methods(own), "centre"]
        ),
    )


def interventions_of_model(interventions: pd.DataFrame, model: str) -> list[Finding]:
    """Find how many predictions follow each kind of change at both ends of the sweep."""
    of_model = (interventions["model"] == model) & (interventions["group"] == "all")
    findings = []
    for kind, rows in (
        interventions[of_model].sort_values("resolution").groupby("kind", sort=False)
    ):
        ends = {"smallest": rows.iloc[0], "largest": rows.iloc[-1]}
        numbers = {name: read_estimate(row, "follows_rest") for name, row in ends.items()}
        subject: dict[str, Any] = {"model": model, "kind": str(kind)}
        subject |= {name: int(row["resolution"]) for name, row in ends.items()}
        findings.append(
            Finding("intervention", "shown", "tables/interventions.csv", subject, numbers)
        )
    return findings


def evidence_alarms(alarms: pd.DataFrame, interventions: pd.DataFrame) -> list[Finding]:
    """Find the alarms that fire: correct predictions with evidence off the object.

    Its parts are the interventions in the same cell and group. `judged` in the subject is
    whether they agree, None when no intervention decides.
    """
    findings = []
    for row in alarms[alarms["state"] == "fires"].to_dict("records"):
        changed = interventions.merge(pd.DataFrame([row])[ALARM_KEYS], on=ALARM_KEYS)
        subject = select(row, "model", "resolution", "group")
        subject["images"] = str(row["images"]).split()
        subject["judged"] = row["judged"] if isinstance(row["judged"], str) else None
        findings.append(
            Finding(
                kind="evidence off the object",
                state="fires",
                evidence="tables/alarms.csv",
                subject=subject,
                numbers={
                    "accuracy": Estimate(row["accuracy"]),
                    "share": read_estimate(row, "share"),
                },
                parts=tuple(_intervention(one) for one in changed.to_dict("records")),
            )
        )
    return findings


def _intervention(row: dict[Any, Any]) -> Finding:
    """Build the finding of one row of interventions.csv."""
    numbers = {"follows_rest": read_estimate(row, "follows_rest")}
    return Finding(
        "intervention", "shown", "tables/interventions.csv", {"kind": row["kind"]}, numbers
    )


def alarm_places(alarms: pd.DataFrame) -> Finding:
    """Find at which resolutions and in which groups the alarm fires, and for which models.

    The state is `fires`, `silent`, or `unknown` when nothing was compared with its evidence.
    `refuted` is whether an intervention disagrees with every alarm.
    """
    evidence = "tables/alarms.csv"
    fires = alarms[alarms["state"] == "fires"]
    # Without masks, or without a method that passes, every state is unknown.
    if (alarms["state"] == "unknown").all():
        return Finding("evidence off the object", "unknown", evidence)
    if fires.empty:
        return Finding("evidence off the object", "silent", evidence)
    places = {
        px: list(dict.fromkeys(rows["group"])) for px, rows in fires.groupby("resolution")
    }
    models = list(dict.fromkeys(fires["model"]))
    # Blank for all models, whose names would add nothing.
    if len(models) == alarms["model"].nunique():
        models = []
    refuted = bool((fires["judged"] == "disagrees").all())
    subject = {"places": places, "models": models, "refuted": refuted}
    return Finding("evidence off the object", "fires", evidence, subject)
