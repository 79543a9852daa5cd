"""Findings about agreement: how similar the maps of a model are across resolutions."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from resomap.analysis.findings.finding import Estimate, Finding, read_estimate, select
from resomap.analysis.sanity_check import BASELINES, FailedMethods, drop_failed_methods

# Methods of two kinds. A claim about agreement needs both to show the same.
CONTROL_METHODS = {"gradcam", "integrated_gradients"}
# As similar as two seeds; less, but more than two images; no more than two images.
VERDICTS = ("alike", "between", "apart")


def trained_maps(agreement: pd.DataFrame) -> pd.DataFrame:
    """Select the rank correlations of signed maps of trained networks over all images."""
    return agreement[
        (agreement["network"] == "trained")
        & (agreement["population"] == "all")
        & (agreement["measure"] == "spearman")
    ]


def widest_pairs(agreement: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that compare the smallest with a different largest resolution."""
    low, high = agreement["low"], agreement["high"]
    return agreement[(low == low.min()) & (high == high.max()) & (low < high)]


def raw_agreement(row: Any) -> float:
    """Return the agreement between seeds, with one seed that of the same seed."""
    if pd.isna(row["observed"]):
        return float(row["same_seed"])
    return float(row["observed"])


def agreement_finding(
    agreement: pd.DataFrame, model: str | None, failed: FailedMethods
) -> Finding:
    """Find how similar the maps of a model are at the smallest and the largest resolution.

    A part per method and block, with its own verdict as state: `alike`, `between`, `apart`, or
    `open` when two seeds are no more similar than two images. Methods that fail the sanity
    check at either resolution are left out. The state is the verdict that the two control
    methods share, else `methods differ`, `control missing`, `one seed`, or `unknown` without a
    comparison.
    """
    rows = widest_pairs(trained_maps(agreement[agreement["model"] == model]))
    # A method that ignores the weights at either end is no evidence about the network.
    for end in ("low", "high"):
        rows = drop_failed_methods(rows, failed, end)
    evidence = "tables/agreement.csv"
    if rows.empty:
        return Finding("agreement", "unknown", evidence, {"model": model})
    parts = tuple(_method_agreement(row) for row in rows.to_dict("records"))
    state = "one seed" if rows["observed"].isna().all() else _common_verdict(parts)
    subject = {
        "model": model,
        "smallest": int(rows["low"].iloc[0]),
        "largest": int(rows["high"].iloc[0]),
        "missing_controls": sorted(CONTROL_METHODS - set(rows["method"])),
    }
    return Finding("agreement", state, evidence, subject, parts=parts)


def _method_agreement(row: dict[Any, Any]) -> Finding:
    """Find the agreement of one method: 0 is another image's map and 1 another seed's."""
    numbers = {}
    for name in ("floor", "observed", "same_seed", "ceiling"):
        if pd.notna(row[name]):
            numbers[name] = Estimate(row[name])
    if pd.notna(row["normalised"]):
        numbers["normalised"] = read_estimate(row, "normalised")
    subject = {"method": row["method"], "block": row["block"]}
    return Finding("agreement of a method", _verdict(row), "", subject, numbers)


def _verdict(row: dict[Any, Any]) -> str:
    """Return what the normalised agreement and its interval show."""
    if pd.isna(row["normalised"]):
        return "open"
    # 1 is what two seeds share: an interval that contains it shows no effect of resolution.
    if row["normalised_high"] >= 1:
        return "alike"
    return "between" if row["normalised_low"] > 0 else "apart"


def _common_verdict(parts: Sequence[Finding]) -> str:
    """Return the verdict that Grad-CAM, with either block, and Integrated Gradients share."""
    # Grad-CAM reads a layer, Integrated Gradients pixels: agreement of both is no artefact.
    controls = [part for part in parts if part.subject["method"] in CONTROL_METHODS]
    if {part.subject["method"] for part in controls} != CONTROL_METHODS:
        return "control missing"
    verdicts = {part.state for part in controls}
    return verdicts.pop() if len(verdicts) == 1 else "methods differ"


def reference_agreement(agreement: pd.DataFrame, finding: Finding) -> list[Finding]:
    """Find the raw agreement of baselines and of an untrained network."""
    rows = agreement[agreement["model"] == finding.subject["model"]]
    rows = rows[(rows["measure"] == "spearman") & (rows["population"] == "all")]
    rows = widest_pairs(rows)
    baselines = rows[rows["method"].isin(BASELINES)]
    first_method = finding.parts[0].subject["method"]
    # One reading is enough: an untrained network is a reference, not a finding.
    untrained = rows[(rows["network"] == "untrained") & (rows["method"] == first_method)][:1]
    findings = []
    for row in [*baselines.to_dict("records"), *untrained.to_dict("records")]:
        raw = raw_agreement(row)
        # An untrained network whose maps are constant has no rank correlation.
        if pd.isna(raw):
            continue
        subject = select(row, "network", "method", "block")
        numbers = {"raw": Estimate(raw)}
        findings.append(
            Finding("reference agreement", "shown", "tables/agreement.csv", subject, numbers)
        )
    return findings
