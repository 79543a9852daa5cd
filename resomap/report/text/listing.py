"""How the user's files were understood, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import join_first, name_in_text
from resomap.text import agree, format_count, format_percent

MAX_CLASSES = 40
MAX_NAMED = 8
MOST_COVERED = 0.5
"""Mean share of the object from which on a mask may be inverted."""


def class_counts(images: Mapping[str, int]) -> str:
    """Return the classes with their number of images: `2 classes: ant 15, bee 15.`"""
    names = [f"{name_in_text(name)} {count:,}" for name, count in images.items()]
    return f"{format_count(len(names), 'class')}: {join_first(names, MAX_CLASSES, ', ')}."


def listing_sentences(notes: Mapping[str, Any]) -> Iterator[str]:
    """Yield how files were understood and what is not used, from `listing` of a manifest."""
    if notes.get("layout"):
        yield f"Layout: {notes['layout']}."
    ignored = notes.get("ignored_files")
    if ignored:
        total = format_count(sum(ignored.values()), "file")
        endings = [f"{ending} {count:,}" for ending, count in sorted(ignored.items())]
        are = agree(sum(ignored.values()), "is no image", "are no images")
        yield f"Ignored: {total} that {are} ({', '.join(endings)})."
    folders = notes.get("ignored_folders")
    if folders:
        names = join_first(list(folders), MAX_NAMED, ", ")
        yield f"Ignored: {format_count(len(folders), 'folder')} without images ({names})."
    columns = notes.get("unused_columns")
    if columns:
        names = agree(len(columns), "Column that is", "Columns that are")
        yield f"{names} not used: {join_first(list(columns), MAX_NAMED, ', ')}."
    groups = notes.get("shared_groups")
    if groups:
        yield (
            f"Accepted by data.group_leaks: {format_count(len(groups), 'group')} in two splits: "
            f"{join_first(list(groups), MAX_NAMED, ', ')}. Test accuracies may be too high."
        )


def mask_sentences(finding: Finding) -> Iterator[str]:
    """Yield how many images have a mask, what it covers, and what is doubtful about it."""
    if finding.state == "none":
        return
    numbers = finding.numbers
    images, tested = numbers["images"], numbers["test_images"]
    share = numbers["share"].value
    have = agree(images.value, "has", "have")
    yield (
        f"{images.value:,} of {format_count(images.n or 0, 'image')} {have} a mask or box "
        f"({tested.value:,} of {tested.n:,} in test); "
        f"it covers {format_percent(share)} of an image on average."
    )
    if share > MOST_COVERED:
        yield "If that is the background rather than the object, the masks are inverted."
    if finding.state == "none in test":
        yield "No test image has one, so that localisation cannot be measured."
    unmatched = int(numbers["unmatched"].value)
    if unmatched:
        belong = agree(unmatched, "belongs", "belong")
        yield f"{format_count(unmatched, 'mask')} {belong} to no image."


def range_sentences(finding: Finding) -> Iterator[str]:
    """Yield how many images use little of the range of values."""
    if finding.state == "shown":
        images = int(finding.numbers["images"].value)
        share = format_percent(finding.numbers["share"].value)
        example = name_in_text(finding.subject["example"])
        yield (
            f"{format_count(images, 'image')} {agree(images, 'uses', 'use')} at most {share} "
            f"of the range from black to white, such as {example}."
        )


def oversized_split_sentence(finding: Finding) -> str:
    """Return by how much a group makes a split larger than requested."""
    numbers = finding.numbers
    return (
        f"Split {finding.subject['split']} has {format_percent(numbers['actual'].value)} of the "
        f"images instead of {format_percent(numbers['requested'].value)}: a group stays in one "
        f"split, and {finding.subject['group']} alone has {numbers['group'].value:,} images."
    )
