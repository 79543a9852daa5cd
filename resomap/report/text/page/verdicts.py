"""What was decided about a candidate, in words; the page fills in the same words by script."""

from collections.abc import Mapping
from typing import Any

from resomap.report.text.candidate import describe_difference
from resomap.report.text.format import MODE_NAMES, variant_name
from resomap.text import format_points

VERDICTS = {
    "chosen": "chosen",
    "taken": "taken until decided",
    "best": "best",
    "within": "within the margin",
    "open": "open",
    "worse": "worse",
    "excluded": "excluded",
    "unmeasured": "no cost",
    "slower": "slower way",
    "not learned": "not learned",
    "infeasible": "does not fit",
}
"""Names of verdicts, in the order of the table; a run that did not end has its status."""
REASONS = {
    "chosen": "the answer",
    "taken": "the answer until more seeds or images decide",
    "best": "the most accurate on validation images",
    "within": "shown to lose at most {at_most} to any other",
    "open": "it may lose {at_most} to another",
    "worse": "it loses {loss} to the best, shown to exceed the margin",
    "slower": "another way of running it has the same answers at a lower latency",
    "not learned": "not shown to beat the majority class",
}
"""Reasons by verdict; excluded candidates and those without a cost have their own."""
AS_TRAINED = "as trained"


def verdict_name(verdict: str) -> str:
    """Return the name of a verdict, or of the status of a run."""
    return VERDICTS.get(verdict, verdict)


def verdict_reason(row: Mapping[str, Any]) -> str:
    """Return why a candidate has its verdict, from a row of candidates.csv."""
    if row.get("reason"):
        return str(row["reason"])
    values = {}
    if row.get("difference") is not None:
        # What is lost is the difference turned round, and so are the ends of its interval.
        ends = {"mean": "", "low": "_high", "high": "_low"}
        loss = {end: -row[f"difference{suffix}"] for end, suffix in ends.items()}
        values = {"loss": describe_difference(loss), "at_most": format_points(row["at_most"])}
    return REASONS.get(row["verdict"], "").format(**values)


def way_of_candidate(row: Mapping[str, Any]) -> str:
    """Return how a candidate was adapted and is run: `BatchNorm recalibrated, compiled`."""
    notes = [MODE_NAMES[row["mode"]]] if row["mode"] in MODE_NAMES else []
    if row["variant"]:
        notes.append(variant_name(row["variant"]))
    return ", ".join(notes) or AS_TRAINED
