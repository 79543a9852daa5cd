"""The classes of a sweep in words: what resolution changes, separates and is needed for."""

from collections.abc import Mapping, Sequence
from typing import Any

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import shorten_name
from resomap.text import agree, format_count, format_percent, format_points

LONGEST_NAME = 40


def class_sentence(
    model: str | None, rows: Sequence[Mapping[str, Any]], resolutions: Sequence[int]
) -> str:
    """Return which class changes most with resolution; rows are sorted by their change."""
    if not rows:
        return "No run has finished."
    if len(resolutions) < 2:
        return f"The accuracy of each class by {model} at {resolutions[0]} px."
    first = rows[0]
    verb = "gains" if first["change"] > 0 else "loses"
    if not first["change"]:
        return f"No class changes its accuracy with resolution, by {model}."
    return (
        f"From {resolutions[0]} to {resolutions[-1]} px, {shorten_name(first['name'], LONGEST_NAME)} "
        f"changes most by {model}: it {verb} {format_points(abs(first['change']))}."
    )


def pairs_sentence(
    pairs: Sequence[Finding], resolutions: Sequence[int], most_shown: int
) -> str:
    """Return how many pairs of classes resolution separates, and which most."""
    if len(resolutions) < 2:
        return "A sweep of one size shows no pair of classes that resolution separates."
    if not pairs:
        return "No pair of classes is shown to be separated by more pixels."
    subject, numbers = pairs[0].subject, pairs[0].numbers
    names = [shorten_name(subject[key], LONGEST_NAME) for key in ("first", "second")]
    count = format_count(len(pairs), "pair")
    more = f" The first {most_shown} are listed." if len(pairs) > most_shown else ""
    return (
        f"{count} of classes {agree(len(pairs), 'is', 'are')} confused at {resolutions[0]} px and "
        f"shown to be confused less at {resolutions[-1]} px.{more} Most separated are {names[0]} "
        f"and {names[1]}: {format_percent(numbers['smallest'].value)} of their images are taken "
        f"for the other, then {format_percent(numbers['largest'].value)}."
    )


def images_sentence(count: int, resolutions: Sequence[int]) -> str:
    """Return what the list of images holds."""
    if not count:
        return "No image is known to need more pixels than the smallest size has."
    return (
        "Every seed predicts these test images correctly at "
        f"{resolutions[-1]} px. The size named is the smallest from which they stay correct. "
        "With two classes, luck alone is right in half of the cases."
    )
