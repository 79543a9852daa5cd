"""The card of one cell in words: scores, verdict, costs, classes and alarms."""

from collections.abc import Mapping, Sequence
from typing import Any

from resomap.analysis.findings.finding import Estimate
from resomap.report.text.format import format_estimate, format_mebibytes, way_name
from resomap.text import format_count, format_milliseconds

FACTS = ("Verdict, as configured", "Test accuracy", "Validation accuracy", "Seeds")
WORDS = {
    "browse": "Look at its images and maps",
    "close": "Close",
    "costs": "Cost by variant",
    "classes": "Classes of the lowest recall",
}
COST_COLUMNS = ("variant", "batch", "median latency", "peak memory", "measurement")
CLASS_COLUMNS = ("class", "recall", "test images")


def accuracy_text(row: Mapping[Any, Any], name: str, n: str, confidence: float) -> str:
    """Return an accuracy with its interval and the number of images, or that there is none."""
    if row[name] is None:
        return "no finished run"
    estimate = Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"])
    images = format_count(int(row[n]), "image")
    return f"{format_estimate(estimate, 3, confidence)}, {images}"


def seeds_text(count: int, failed: Sequence[tuple[int, str, str]]) -> str:
    """Return how many seeds finished, and the status and reason of the others."""
    text = format_count(count, "finished seed")
    for seed, status, reason in failed:
        because = f" ({reason})" if reason else ""
        text += f"; seed {seed}: {status}{because}"
    return text


def verdict_text(candidate: Mapping[str, Any]) -> str:
    """Return the verdict on a row of the table of candidates, with its reason."""
    name, reason = str(candidate["verdict_name"]), candidate["reason"]
    return f"{name}: {reason}" if reason else name


def cost_cells(row: Mapping[Any, Any]) -> list[str]:
    """Return a measurement as the cells of COST_COLUMNS."""
    if row["latency_ms_p50"] is None:
        return [way_name(row), str(row["batch_size"]), "", "", str(row["status"])]
    latency = format_milliseconds(row["latency_ms_p50"])
    if row["latency_ms_low"] is not None:
        low, high = (format_milliseconds(row[f"latency_ms_{end}"]) for end in ("low", "high"))
        latency += f" ({low} to {high})"
    memory = row["peak_memory_mib"]
    shown = "" if memory is None else f"{format_mebibytes(memory)} MiB"
    valid = "valid" if row["valid"] else f"invalid: {row['why_invalid'] or 'disturbed'}"
    return [way_name(row), str(row["batch_size"]), latency, shown, valid]


def class_cells(row: Mapping[Any, Any]) -> list[str]:
    """Return the recall of a class, mean over the seeds, as the cells of CLASS_COLUMNS."""
    return [str(row["class"]), f"{row['accuracy']:.3f}", str(int(row["n"]))]
