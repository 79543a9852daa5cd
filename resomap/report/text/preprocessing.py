"""Findings about other preprocessings in words."""

from resomap.analysis.findings.finding import Estimate, Finding
from resomap.text import (
    format_confidence,
    format_count,
    format_interval,
    format_percent,
    format_points,
)

UNKNOWN = "No preprocessing that means to do what the training did was measured"


def preprocessing_title(finding: Finding) -> str:
    """Return whether preprocessings that mean to do the same change answers."""
    if finding.state == "unknown":
        return UNKNOWN
    if finding.state == "same":
        return "Preprocessings that mean to do what the training did change no answer"
    flipped = format_percent(finding.numbers["flipped"].value)
    return (
        f"{finding.subject['preprocessing']}, which means to do what the training did, changes "
        f"{flipped} of the answers of {_cell(finding)}"
    )


def preprocessing_sentence(finding: Finding, confidence: float) -> str:
    """Return what faithful preprocessings change, and what the worst of all others loses."""
    text = f"{preprocessing_title(finding)}."
    for worst in finding.parts:
        flipped = format_percent(worst.numbers["flipped"].value)
        text += (
            f" {worst.subject['preprocessing']} ({worst.subject['kind']}) changes most: {flipped} "
            f"of the answers of {_cell(worst)}, and loses "
            f"{_points(worst.numbers['accuracy_lost'], confidence)}."
        )
    return text


def limit_line(finding: Finding, max_flips: float) -> str:
    """Return the complaint about a preprocessing that changes more answers than allowed."""
    flipped, lost = finding.numbers["flipped"], finding.numbers["accuracy_lost"]
    answers = format_count(flipped.n or 0, "answer")
    return (
        f"{_cell(finding)}: {finding.subject['preprocessing']} changes "
        f"{100 * flipped.value:.3g} % of {answers} and loses "
        f"{format_points(lost.value)} of accuracy; system.deploy.max_flips allows "
        f"{100 * max_flips:.3g} %"
    )


def _points(lost: Estimate, confidence: float) -> str:
    """Return accuracy lost in points, with its interval."""
    ends = format_interval(100 * (lost.low or 0), 100 * (lost.high or 0), 1)
    return f"{format_points(lost.value)} of accuracy ({format_confidence(confidence)} {ends})"


def _cell(finding: Finding) -> str:
    subject = finding.subject
    return (
        f"{subject['model']} trained at {subject['train_resolution']} px, given "
        f"{subject['eval_resolution']} px"
    )
