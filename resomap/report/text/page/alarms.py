"""Alarms as one short line each, for the first screen; findings have the whole sentences."""

from collections.abc import Sequence

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import join_names
from resomap.text import format_count, format_number

EVIDENCE = "evidence off the object"


def alarm_lines(findings: Sequence[Finding]) -> list[str]:
    """Return a line per alarm; those about the evidence of a model share one for each group."""
    lines = [_alarm_line(finding) for finding in findings if finding.kind != EVIDENCE]
    sizes: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if finding.kind == EVIDENCE:
            subject = finding.subject
            place = sizes.setdefault((subject["model"], subject["group"]), [])
            place.append(str(subject["resolution"]))
    for (model, group), resolutions in sizes.items():
        images = "" if group == "all" else f", on {group} images"
        lines.append(
            f"Looks beside the object: {model} at {join_names(resolutions)} px{images}"
        )
    return lines


def _alarm_line(finding: Finding) -> str:
    """Return what is wrong, in a line."""
    subject, numbers = finding.subject, finding.numbers
    if finding.kind == "leak":
        images = format_count(int(numbers["images"].value), "image")
        return f"Leak: {images} with the same pixels in two splits"
    if finding.kind == "contradiction":
        images = format_count(int(numbers["images"].value), "image")
        return f"Contradiction: {images} with the same pixels as one of another label"
    ratio = format_number(numbers["ratio"].value)
    return (
        f"A larger image is faster: {subject['model']} takes {ratio} times as long at "
        f"{subject['larger']} px as at {subject['resolution']} px"
    )
