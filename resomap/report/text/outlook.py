"""What a sweep can show in words, for `resomap plan`."""

from dataclasses import replace

from resomap.analysis.decision.outlook import Outlook, SweepSize, foresee
from resomap.config.report import Report
from resomap.text import format_percent, format_points


def describe_outlook(size: SweepSize, rules: Report) -> list[str]:
    """Return what a sweep of this size can show, and what one more seed would change."""
    more = replace(size, seeds=size.seeds + 1)
    now, with_more = (foresee(one, rules.margin, rules.confidence) for one in (size, more))
    return outlook_lines(now, with_more, rules.margin)


def outlook_lines(now: Outlook, more: Outlook, margin: float) -> list[str]:
    """Return what the sweep detects and how probable an answer is, now and with one seed more."""
    lines = [
        f"a comparison of two cells will detect differences of {format_points(now.detectable)} "
        "in four cases of five (assuming typical variances)",
        f"an answer within a margin of {format_points(margin)} is reached in about "
        f"{format_percent(round(now.answered, 2))} of such sweeps, and in about "
        f"{format_percent(round(more.answered, 2))} with one more seed",
    ]
    if now.detectable > margin:
        lines.append(
            "warning: this is more than the margin, so that cheaper cells may stay open: "
            "more seeds, more test images or a wider report.margin would help"
        )
    return lines
