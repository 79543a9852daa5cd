"""Findings about cascades in words."""

from collections.abc import Iterator

from resomap.analysis.findings.finding import Finding
from resomap.text import format_percent

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


def cascade_sentences(finding: Finding) -> Iterator[str]:
    """Yield what the best cascade saves, and how many images it passes on."""
    yield f"{cascade_title(finding)}."
    if finding.state == "shown":
        passed = format_percent(finding.numbers["escalated"].value)
        yield f"It passes {passed} of the images on."
