"""What stands under each interactive chart: how to read its marks."""

from collections.abc import Iterable

from resomap.report.text.format import MODE_NAMES
from resomap.text import format_confidence, format_count

POINTER = "Point at a mark for its numbers. Click it for its cell."
DOWNLOAD = "These numbers as CSV"
OTHER_LIMITS = "Accuracy against latency, with the choice under the limits set on this page"
LATENCY_CONFIDENCE = 0.95
"""Confidence of the intervals that profiles record, whatever that of the report."""


def chart_label(title: str) -> str:
    """Return the name of a chart for readers who do not see it."""
    return f"{title}. Arrow keys step through the marks. The numbers are in the table below."


def table_summary(rows: int) -> str:
    """Return what opens the table behind a chart."""
    return f"The numbers as a table ({format_count(rows, 'row')})"


def trade_off_note(confidence: float, chosen_label: str | None, *, disturbed: bool) -> str:
    """Return what the caption of the figure leaves open about accuracy against latency."""
    bars = "Bars: 95 % intervals."
    if confidence != LATENCY_CONFIDENCE:
        bars = f"Bars: {format_confidence(confidence)}s of the accuracy, 95 % of the latency."
    ring = f" Ring: {chosen_label}." if chosen_label else ""
    hollow = " Hollow: measured on a busy machine." if disturbed else ""
    return f"Numbers: resolution in px. {bars} Dashed: the best trade-offs.{ring}{hollow}"


def accuracy_note(confidence: float, majority: float, *, is_drawn: bool, has_runs: bool) -> str:
    """Return what the caption of the figure leaves open about accuracy by resolution.

    The line of the majority class is not always drawn, nor are the runs of all models.
    """
    line = " (dotted line)" if is_drawn else ""
    note = (
        f"Bars: {format_confidence(confidence)}s. The majority class scores "
        f"{majority:.3f}{line}."
    )
    return note if has_runs else f"{note} Pick a model in the legend to see its single runs."


def matrix_note(majority: float) -> str:
    """Return what the caption of the figure leaves open about the matrix."""
    return f"Test accuracy, mean over seeds. The majority class scores {majority:.3f}."


def cost_note() -> str:
    """Return what the caption of the figure leaves open about cost by resolution."""
    return "Bars: 95 % intervals between rounds, which memory has not."


def agreement_note(*, normalised: bool) -> str:
    """Return how to read the chart of agreement."""
    if not normalised:
        return (
            "Raw rank correlation of maps of the same image at two resolutions. With one seed "
            "there is nothing to normalise by."
        )
    return (
        "0 is the map of another image, 1 is another seed at the same resolution. A dash: the "
        "two do not differ, or there is nothing to normalise."
    )


def mode_name(mode: str) -> str:
    """Return what was done to a network before the test: `as trained`, `fine-tuned`."""
    return MODE_NAMES.get(mode, "as trained")


def failing_name(name: str, failed: Iterable[int]) -> str:
    """Return the name of a method, and where it fails the sanity check."""
    sizes = ", ".join(map(str, failed))
    return f"{name} (fails the sanity check at {sizes} px)" if sizes else name
