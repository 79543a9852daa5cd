"""Alarms as one short line each, for the first screen; findings have the whole sentences."""

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import cell_name
from resomap.text import format_count, format_number


def alarm_line(finding: Finding) -> str:
    """Return what is wrong, in a line."""
    subject, numbers = finding.subject, finding.numbers
    if finding.kind == "leak":
        images = format_count(int(numbers["images"].value), "image")
        return f"Leak: {images} with the same pixels in two splits"
    if finding.kind == "contradiction":
        images = format_count(int(numbers["images"].value), "image")
        return f"Contradiction: {images} with the same pixels as one of another label"
    if finding.kind == "inversion":
        ratio = format_number(numbers["ratio"].value)
        return (
            f"A larger image is faster: {subject['model']} takes {ratio} times as long at "
            f"{subject['larger']} px as at {subject['resolution']} px"
        )
    group = "" if subject["group"] == "all" else f"{subject['group']} "
    return f"Evidence off the object: {cell_name(subject)}, {group}images"
