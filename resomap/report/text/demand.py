"""Findings about the resolutions that images need, in words."""

from resomap.analysis.findings.finding import Finding
from resomap.text import format_percent


def demand_title(finding: Finding) -> str:
    """Return how many test images are right at the largest size only."""
    subject, numbers = finding.subject, finding.numbers
    if finding.state == "unknown":
        return "No seed has finished at every resolution"
    if finding.state == "one resolution":
        share = format_percent(numbers["smallest"].value)
        return (
            f"{subject['model']} predicts {share} of the test images correctly "
            f"at {subject['smallest']} px"
        )
    share = format_percent(numbers["largest"].value)
    return f"{subject['model']} needs {subject['largest']} px for {share} of the test images"


def demand_sentence(finding: Finding) -> str:
    """Return how many images are right from the smallest size on."""
    share = format_percent(finding.numbers["smallest"].value)
    return f"{share} of the test images are right from {finding.subject['smallest']} px on."
