"""Findings about confusion in words."""

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import cell_name, name_in_text
from resomap.text import format_percent


def confusion_title(finding: Finding) -> str:
    """Return which class is most often taken for another one, of the images that were tested."""
    subject = finding.subject
    if finding.state == "unknown":
        return "No run has finished"
    if finding.state == "none":
        return f"{cell_name(subject)} predicts every test image correctly"
    share = finding.numbers["share"]
    return (
        f"The most frequent confusion of {cell_name(subject)}: {format_percent(share.value)} of "
        f"the {share.n:,} predictions for {name_in_text(subject['class'], 22)} are "
        f"{name_in_text(subject['predicted'], 22)}"
    )
