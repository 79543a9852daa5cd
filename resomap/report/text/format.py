"""How the report names cells, methods and variants, and writes estimates and lists."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from resomap.analysis.findings.finding import Estimate
from resomap.text import (
    format_confidence,
    format_interval,
    format_milliseconds,
    format_number,
)

MODE_NAMES = {"bn": "BatchNorm recalibrated", "finetune": "fine-tuned", "int8": "int8"}
"""What was done to a network for the resolution at which it predicts."""
# Characters that show nothing, or change the order of those around them: a name that holds them
# would read as another name, and reorder the numbers beside it.
_REORDERING = (0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), 0x2066, 0x2067)
_UNSEEN = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *_REORDERING} - {0x09, 0x0A}
_ESCAPES = {code: f"\\u{code:04x}" for code in sorted(_UNSEEN)}
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
# In a text they isolate a name; a name itself has no use for them, nor for tabs and new lines.
_ESCAPES_IN_NAMES = _ESCAPES | {code: f"\\u{code:04x}" for code in (0x09, 0x0A, 0x2068, 0x2069)}
# Variants whose key does not read well; others are shown by their key.
VARIANT_NAMES = {
    "cuda_graph": "CUDA graph",
    "training_step": "training step",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
}


MAX_SIZES = 3
"""A sentence with more numbers than this needs a second reading."""


def join_names(names: Iterable[Any]) -> str:
    """Return a list as English: `24`, `24 and 48`, `24, 48 and 96`."""
    # No comma before `and`, as in the rest of the report.
    *others, last = (str(name) for name in names)
    return f"{', '.join(others)} and {last}" if others else last


def join_first(names: list[str], most: int, separator: str = ", ") -> str:
    """Return the first `most` names and how many more there are."""
    if len(names) <= most:
        return separator.join(names)
    return f"{separator.join(names[:most])} and {len(names) - most} more"


def join_sizes(sizes: Sequence[int]) -> str:
    """Return sizes as English: `24 and 48 px`, or `5 sizes from 24 to 96 px`."""
    if len(sizes) > MAX_SIZES:
        return f"{len(sizes)} sizes from {min(sizes)} to {max(sizes)} px"
    return f"{join_names(sizes)} px"


def cell_name(subject: Mapping[Any, Any]) -> str:
    """Return the name of a cell: `tiny_cnn at 96 px`."""
    return f"{subject['model']} at {subject['resolution']} px"


def candidate_name(subject: Mapping[Any, Any]) -> str:
    """Return the name of a candidate: `tiny_cnn at 96 px (trained at 48 px, compiled)`."""
    return f"{subject['model']} at {candidate_size(subject)}"


def candidate_size(subject: Mapping[Any, Any]) -> str:
    """Return where a candidate predicts, and what it is: `96 px (trained at 48 px)`."""
    notes = []
    if subject["eval_resolution"] != subject["resolution"]:
        notes.append(f"trained at {subject['resolution']} px")
    if subject["mode"] in MODE_NAMES:
        notes.append(MODE_NAMES[subject["mode"]])
    if subject["variant"]:
        notes.append(variant_name(subject["variant"]))
    size = f"{subject['eval_resolution']} px"
    return f"{size} ({', '.join(notes)})" if notes else size


def variant_name(variant: str) -> str:
    """Return the name of a variant: `eager`, `training step`."""
    return VARIANT_NAMES.get(variant, variant)


def way_name(subject: Mapping[Any, Any]) -> str:
    """Return the variant of a measurement, and a precision other than fp32: `eager in bf16`."""
    name, precision = variant_name(subject["variant"]), subject["precision"]
    return name if precision == "fp32" else f"{name} in {precision}"


def measurement_name(subject: Mapping[Any, Any]) -> str:
    """Return the name of a measurement: `tiny_cnn at 24 px (eager, batch 1)`."""
    return f"{cell_name(subject)} ({way_name(subject)}, batch {subject['batch_size']})"


def escape_unseen(text: str) -> str:
    """Return the text with control characters that are not seen as escapes: `\\u202e`."""
    return text.translate(_ESCAPES)


def shorten_name(name: str, most: int = 22) -> str:
    """Return the name, cut in its middle when it has more than `most` characters.

    Control characters become escapes.
    """
    name = name.translate(_ESCAPES_IN_NAMES)
    if len(name) <= most:
        return name
    # The end of a path distinguishes files of one folder, its beginning the folders.
    half = most // 2
    return f"{name[: most - half - 1]}\N{HORIZONTAL ELLIPSIS}{name[-half:]}"


def name_in_text(name: str, most: int = 60) -> str:
    """Return a shortened name for a sentence, isolated where it is written right to left."""
    short = shorten_name(name, most)
    # Otherwise numbers and punctuation after the name would be drawn before it (UAX 9).
    if {unicodedata.bidirectional(letter) for letter in short} & {"R", "AL", "AN"}:
        return f"{FIRST_STRONG_ISOLATE}{short}{POP_ISOLATE}"
    return short


def without_isolates(text: str) -> str:
    """Return the text for a drawing, whose font has no glyph for isolates."""
    return text.replace(FIRST_STRONG_ISOLATE, "").replace(POP_ISOLATE, "")


def sentence_case(text: str) -> str:
    """Return the text with its first letter in upper case."""
    return f"{text[0].upper()}{text[1:]}"


def interval_name(confidence: float | None) -> str:
    """Return `95 % interval `, or nothing without a confidence."""
    # A page names the interval once per paragraph; repeating it would bury the numbers.
    return "" if confidence is None else f"{format_confidence(confidence)} "


def format_estimate(
    estimate: Estimate, digits: int = 2, confidence: float | None = None, show_n: bool = False
) -> str:
    """Return `0.984 (0.978-0.989)`, with the name of the interval for a confidence."""
    text = format_number(estimate.value, digits)
    # Estimates without an interval are exact counts and ratios, or unknown in older tables.
    if estimate.low is None or estimate.high is None:
        return text
    interval = interval_name(confidence) + format_interval(estimate.low, estimate.high, digits)
    n = f", n = {estimate.n}" if show_n else ""
    return f"{text} ({interval}{n})"


def format_latency(estimate: Estimate) -> str:
    """Return a latency, `2.31 ms`."""
    return format_milliseconds(estimate.value)


def format_energy(joules: float) -> str:
    """Return an energy with three significant digits, `2.31 mJ`."""
    return f"{1e3 * joules:.3g} mJ" if joules < 1 else f"{joules:.3g} J"


def format_mebibytes(size: float) -> str:
    """Return a size for a column of MiB: `2.4`, `1,203`."""
    return f"{size:.1f}" if size < 10 else f"{size:,.0f}"


def format_three_digits(value: float) -> str:
    """Return three significant digits, and no fewer than the whole number: `0.280`, `1,203`."""
    # `#` keeps trailing zeros, so that the numbers of a column have equal precision.
    return f"{value:#.3g}" if value < 99.95 else f"{value:,.0f}"
