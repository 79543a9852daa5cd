"""Findings about cascades in words."""

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import format_estimate
from resomap.text import format_percent, format_points

TITLES = {
    "unknown": "No cascade could be made: no cell with a latency beats a cheaper one",
    "none": "No cascade costs less than its last cell",
    "not shown": "No cascade is shown to save time at an accuracy within the margin",
}


def cascade_title(finding: Finding) -> str:
    """Return what the best cascade saves, or that none is shown to."""
    if finding.state != "shown":
        return TITLES[finding.state]
    saved = format_percent(finding.numbers["saved"].value)
    return (
        f"The cascade {finding.subject['stages']} saves {saved} of the latency of "
        f"{finding.subject['last']}, within the margin of its accuracy"
    )


def cascade_sentence(finding: Finding, confidence: float | None = None) -> str:
    """Return what the best cascade saves and scores, with intervals."""
    if finding.state != "shown":
        return f"{TITLES[finding.state]}."
    numbers = finding.numbers
    return (
        f"{cascade_title(finding)}: the share saved is "
        f"{format_estimate(numbers['saved'], 2, confidence)}, its accuracy "
        f"{format_estimate(numbers['accuracy'], 3)}, a difference of "
        f"{format_points(numbers['difference'].value)}. It passes "
        f"{format_percent(numbers['escalated'].value)} of the images on."
    )
