"""What is said of every candidate: its accuracy, its latency, and among which it was chosen."""

from typing import Any

from resomap.text import (
    format_confidence,
    format_interval,
    format_milliseconds,
    format_number,
    format_points,
)

ChoiceRecord = dict[str, Any]


def cell_facts(cell: ChoiceRecord, choice: ChoiceRecord) -> str:
    """Return the test accuracy of a cell with its interval, and its latency."""
    interval = accuracy_interval(cell["test_accuracy"], choice["rules"]["confidence"])
    accuracy = f"Test accuracy {interval}"
    if cell["latency_ms_p50"] is None:
        return accuracy
    latency = format_milliseconds(cell["latency_ms_p50"])
    return f"{accuracy}, {latency} per image{on_device(choice)}"


def on_device(choice: ChoiceRecord) -> str:
    """Return ` on pi5` where costs are those of another device."""
    device = choice.get("device")
    return f" on {device}" if device else ""


def accuracy_interval(interval: ChoiceRecord, confidence: float) -> str:
    """Return `0.975 (95 % interval 0.968-0.981)`."""
    ends = format_interval(interval["low"], interval["high"], 3)
    return f"{interval['mean']:.3f} ({format_confidence(confidence)} {ends})"


def describe_difference(interval: ChoiceRecord) -> str:
    """Return a difference of accuracies: `1.2 points (interval 0.4 to 2.0)`."""
    low, high = (format_number(100 * interval[end], 1) for end in ("low", "high"))
    return f"{format_points(interval['mean'])} (interval {low} to {high})"


def most_accurate(choice: ChoiceRecord) -> str:
    """Return what the best cell is, which excluded cells may surpass."""
    if choice.get("device"):
        return f"the most accurate on validation images of the cells{within_budgets(choice)}"
    return f"the most accurate cell{within_budgets(choice)} on validation images"


def within_budgets(choice: ChoiceRecord) -> str:
    """Return ` within the budgets`, or nothing where all candidates are; and on which device."""
    measured = f" measured{on_device(choice)}" if choice.get("device") else ""
    if not choice["excluded"]:
        return measured
    return f"{measured} and within the budgets" if measured else " within the budgets"


def lower_first(text: str) -> str:
    """Return the text with its first letter in lower case."""
    return f"{text[0].lower()}{text[1:]}"
