"""The cost of other preprocessings as a table and a sentence."""

from collections.abc import Iterator, Sequence

from resomap.deploy.preprocessing_parity import SAME, PreprocessingCost
from resomap.text import (
    align_columns,
    format_confidence,
    format_count,
    format_interval,
    format_number,
    format_percent,
    format_points,
)

OTHER_RESIZES = ("another filter", "no antialias", "nearest pixel", "half-pixel shift")
HEAD = (
    "preprocessing",
    "what differs",
    "answers changed",
    "points lost",
    "interval",
    "logits differ by",
)


def parity_lines(
    results: Sequence[PreprocessingCost], confidence: float, cell: str
) -> Iterator[str]:
    """Yield a table and a sentence for each resolution of `results`."""
    for side in dict.fromkeys(each.resolution for each in results):
        of_side = [each for each in results if each.resolution == side]
        seeds = format_count(of_side[0].seeds, "seed")
        images = format_count(of_side[0].images, "test image")
        yield f"{cell}, given images of {side} px: {images}, {seeds}, {100 * confidence:g} % intervals"
        yield from align_columns([HEAD, *map(_row, of_side)])
        yield describe_costs(of_side, confidence)
        yield ""


def _row(result: PreprocessingCost) -> tuple[str, ...]:
    if result.lost is None:
        return (result.name, result.kind, f"- ({result.skipped})", "-", "-", "-")
    low, high = 100 * result.lost.low, 100 * result.lost.high
    largest = result.max_logit_difference
    is_itself = result.kind == "reference"  # equal by definition, on all images
    return (
        result.name,
        result.kind,
        format_percent(result.flips),
        format_number(100 * result.lost.mean, 1),
        "-" if is_itself else format_interval(low, high, 1),
        f"{largest:.2g}" if largest < 100 else f"{largest:.0f}",
    )


def describe_costs(results: Sequence[PreprocessingCost], confidence: float) -> str:
    """Return how many answers faithful preprocessings, other resizes and mistakes change."""
    measured = [each for each in results if each.lost is not None and each.kind != "reference"]
    faithful = [each for each in measured if each.kind in SAME]
    others = [each for each in measured if each.kind not in (*SAME, "compression")]
    resizes = [each for each in others if each.kind in OTHER_RESIZES]
    sentences = [_describe_faithful(faithful)] if faithful else []
    groups = (resizes, [each for each in others if each not in resizes])
    for group in filter(None, groups):
        sentences.append(_describe_worst(max(group, key=_harm), confidence))
    return " ".join(sentences)


def _describe_faithful(results: Sequence[PreprocessingCost]) -> str:
    worst = max(results, key=_harm)
    ways = format_count(len(results), "way")
    if worst.flips == 0:
        return f"No answer changes in any of {ways} to do what the training did."
    flips = format_percent(worst.flips)
    return f"Of {ways} to do what the training did, {worst.name} changes most answers: {flips}."


def _describe_worst(result: PreprocessingCost, confidence: float) -> str:
    assert result.lost is not None
    ends = format_interval(100 * result.lost.low, 100 * result.lost.high, 1)
    kind = "" if result.kind == result.name else f" ({result.kind})"
    return (
        f"{result.name}{kind} changes {format_percent(result.flips)} of the answers and "
        f"loses {format_points(result.lost.mean)} ({format_confidence(confidence)} {ends})."
    )


def _harm(result: PreprocessingCost) -> tuple[float, float]:
    return result.flips, result.max_logit_difference


def excess_line(result: PreprocessingCost, max_flips: float) -> str:
    """Return the complaint about a preprocessing that changes too many answers."""
    flips, limit = f"{100 * result.flips:.3g} %", f"{100 * max_flips:.3g} %"
    return (
        f"{result.resolution} px: {result.name} changes {flips} of the answers, above {limit}"
    )
