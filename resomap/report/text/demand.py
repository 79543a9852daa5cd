"""Findings about the resolutions that images need, in words."""

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import format_estimate
from resomap.text import format_percent


def demand_title(finding: Finding) -> str:
    """Return how many test images are right from the smallest and from the largest size on."""
    subject, numbers = finding.subject, finding.numbers
    if finding.state == "unknown":
        return "No seed has finished at every resolution"
    smallest = format_percent(numbers["smallest"].value)
    text = (
        f"{subject['model']} predicts {smallest} of the test images correctly "
        f"from {subject['smallest']} px on"
    )
    if finding.state == "one resolution":
        return text
    largest = format_percent(numbers["largest"].value)
    return f"{text}, and {largest} at {subject['largest']} px only"


def demand_sentence(finding: Finding, confidence: float | None = None) -> str:
    """Return the shares with their intervals, and how many images are wrong at the largest."""
    subject, numbers = finding.subject, finding.numbers
    smallest = format_estimate(numbers["smallest"], 2, confidence)
    return (
        f"Of the test images, {subject['model']} predicts a share of {smallest} correctly from "
        f"{subject['smallest']} px on, {format_estimate(numbers['largest'], 2)} at "
        f"{subject['largest']} px only, and {format_estimate(numbers['never'], 2)} not even there."
    )
