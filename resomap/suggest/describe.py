"""A suggestion in words: what was decided and why, what it costs and what it can detect."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from resomap.analysis.decision.outlook import SweepSize, detectable_difference
from resomap.report.text.answer import INDENT
from resomap.report.text.format import join_names
from resomap.report.text.listing import class_counts
from resomap.suggest.grid import Grid
from resomap.suggest.seeds import WORTHWHILE
from resomap.suggest.settings import PRETRAINED, RANDOM
from resomap.suggest.suggestion import Suggestion
from resomap.text import (
    agree,
    format_count,
    format_duration,
    format_percent,
    format_points,
)

MOST_TEST_IMAGES = 1_000_000


def suggestion_lines(suggestion: Suggestion, size: str) -> Iterator[str]:
    """Yield what was decided and why, part by part; `size` is that of the sweep."""
    parts = (
        ("Images", _images(suggestion)),
        ("Models", _models(suggestion)),
        ("Resolution", iter([f"{describe_sides(suggestion)}."])),
        ("Training", _training(suggestion)),
        ("Seeds", _seeds(suggestion)),
        ("Given up", given_up(suggestion)),
        ("Cost", _cost(suggestion, size)),
    )
    for name, sentences in parts:
        for number, sentence in enumerate(sentences):
            yield f"{'' if number else name:<{INDENT}}{sentence}"


def _images(suggestion: Suggestion) -> Iterator[str]:
    summary = suggestion.summary
    counts = describe_splits(suggestion)
    if summary.per_class:
        yield class_counts(summary.per_class)
    yield f"{counts[0].upper()}{counts[1:]}."
    yield from summary.sentences


def describe_splits(suggestion: Suggestion) -> str:
    """Return the images of each split, and which of them were assigned here."""
    summary = suggestion.summary
    counts = f"{summary.train:,} train, {summary.val:,} val and {summary.test:,} test images"
    assigned = summary.assigned
    if len(assigned) == 3:
        return f"{counts}, assigned by class"
    return f"{counts}, of which {join_names(assigned)} assigned here" if assigned else counts


def _models(suggestion: Suggestion) -> Iterator[str]:
    yield f"{join_names(suggestion.grid.models)}: {describe_start(suggestion)}."
    if suggestion.start == RANDOM and not suggestion.at_hand and suggestion.summary.kept:
        yield (
            "Pretrained weights would probably gain much: `--start pretrained` downloads some "
            "when the sweep starts."
        )


def describe_start(suggestion: Suggestion) -> str:
    """Return where the initial weights come from."""
    start, at_hand = suggestion.start, set(suggestion.at_hand)
    if start == RANDOM and suggestion.summary.kept and not at_hand:
        return "from random weights, since no pretrained ones lie on this machine"
    if start == RANDOM:
        return "from random weights"
    if start == PRETRAINED and set(suggestion.grid.models) <= at_hand:
        return "from the published weights that lie on this machine"
    if start == PRETRAINED:
        return "from published weights, which are downloaded when the sweep starts"
    return "from the weights of your file"


def describe_sides(suggestion: Suggestion) -> str:
    """Return the resolutions, and what share of the detail each keeps."""
    sides, kept = suggestion.grid.resolutions, suggestion.summary.kept
    text = f"{join_names([str(side) for side in sides])} px"
    if not all(side in kept for side in sides):
        return text
    shares = join_names([format_percent(round(kept[side], 3)) for side in sides])
    return f"{text} keep {shares} of the detail that the images hold"


def _training(suggestion: Suggestion) -> Iterator[str]:
    training = suggestion.config.training
    train = format_count(suggestion.summary.train, "image")
    epochs = format_count(training.epochs, "epoch")
    yield f"{epochs} of {train} in batches of {training.batch_size}."


def _seeds(suggestion: Suggestion) -> Iterator[str]:
    """Yield what the sweep detects, and what would detect the margin."""
    yield f"{describe_detection(suggestion, suggestion.grid)}."
    margin = suggestion.config.report.margin
    difference = _detectable(suggestion, suggestion.grid)
    if difference <= margin:
        return
    yield (
        f"The margin of {format_points(margin)} is narrower: {_what_detects(suggestion)} would "
        "detect it."
    )


def describe_detection(suggestion: Suggestion, grid: Grid) -> str:
    """Return the seeds, and the difference that they detect on the test images."""
    difference = format_points(_detectable(suggestion, grid))
    tested = format_count(suggestion.summary.test, "test image")
    seeds = format_count(grid.seeds, "seed")
    detect = agree(grid.seeds, "detects", "detect")
    return f"{seeds} on {tested} {detect} a difference of {difference} in four cases of five"


def _detectable(suggestion: Suggestion, grid: Grid) -> float:
    confidence = suggestion.config.report.confidence
    return detectable_difference(suggestion.size(grid), confidence)


def _what_detects(suggestion: Suggestion) -> str:
    """Return the seeds, or the test images, that detect the margin."""
    rules, size = suggestion.config.report, suggestion.size(suggestion.full)
    detect = partial(detectable_difference, confidence=rules.confidence)
    if suggestion.grid.seeds < suggestion.full.seeds and detect(size) <= rules.margin:
        return format_count(size.seeds, "seed")
    images = images_to_detect(size, rules.margin, rules.confidence)
    return f"about {images:,} test images" if images else "no number of test images"


def images_to_detect(size: SweepSize, margin: float, confidence: float) -> int | None:
    """Return about how many test images detect a margin; None where no number does."""
    images = size.test
    while images <= MOST_TEST_IMAGES:
        if detectable_difference(replace(size, test=images), confidence) <= margin:
            return round(images, 1 - len(str(images)) + 1)
        images = round(images * WORTHWHILE) + 1
    return None


def given_up(suggestion: Suggestion) -> Iterator[str]:
    """Yield what the time leaves out of the full sweep; nothing where it leaves nothing out."""
    parts = missing_parts(suggestion.full, suggestion.grid)
    if parts:
        whole = format_duration(suggestion.full_seconds)
        yield (
            f"For {suggestion.settings.minutes:g} minutes: {'; '.join(parts)}. The full sweep "
            f"would take about {whole}."
        )


def missing_parts(full: Grid, grid: Grid) -> list[str]:
    """Return what a grid lacks of the full one, part by part."""
    parts = list[str]()
    models = [name for name in full.models if name not in grid.models]
    sides = [f"{side} px" for side in full.resolutions if side not in grid.resolutions]
    for names in (models, sides):
        if names:
            parts.append(f"without {join_names(names)}")
    if grid.seeds < full.seeds:
        parts.append(f"{grid.seeds} of {format_count(full.seeds, 'seed')}")
    if grid.epochs < full.epochs:
        parts.append(f"{grid.epochs} of {format_count(full.epochs, 'epoch')}")
    if grid.quick:
        parts.append("few explained images, no recalibrated BatchNorm, no cost of training")
    return parts


def _cost(suggestion: Suggestion, size: str) -> Iterator[str]:
    """Yield the time, by steps measured on this machine, and the size of the sweep."""
    jobs = format_count(suggestion.workers, "job")
    yield (
        f"About {format_duration(suggestion.seconds)} with {jobs} at once, by steps measured on "
        f"this machine and with a margin: {size.removeprefix('sweep: ')}."
    )
    if suggestion.was_busy:
        yield "Other work slowed the measured steps: on an idle machine it takes less."


def comments(suggestion: Suggestion) -> dict[str, str]:
    """Return the reason of each key of the file, by its dotted name."""
    texts = {
        "data.path": describe_splits(suggestion),
        "data.dataset": "drawn here" if not suggestion.summary.kept else "",
        "data.masks": "the objects, for the explanations",
        "data.filter": "by which the images of the weights were resized",
        "data.on_bad_image": _describe_bad(suggestion.summary.bad),
        "sweep.models": describe_start(suggestion),
        "sweep.resolutions": _shares(suggestion),
        "sweep.seeds": f"detects {format_points(_detectable(suggestion, suggestion.grid))}",
        "training.augmentation": "horizontal_flip: 0.0 where left and right differ",
        "report.margin": "accuracy that may be lost",
        "report.max_latency_ms": "p90 latency of one image",
    }
    if "filter" in suggestion.settings.own.get("data", {}):
        del texts["data.filter"]  # the user's own, for reasons that are not known
    return {key: text for key, text in texts.items() if text}


def _describe_bad(bad: int) -> str:
    return f"{format_count(bad, 'file')} cannot be read; error stops there"


def _shares(suggestion: Suggestion) -> str:
    sides: Sequence[int] = suggestion.grid.resolutions
    kept = suggestion.summary.kept
    if not all(side in kept for side in sides):
        return ""
    shares = [format_percent(round(kept[side], 3)) for side in sides]
    return f"keep {', '.join(shares)} of the detail"
