"""Findings about the dataset in words."""

from collections.abc import Iterator, Sequence

from resomap.analysis.facts import SPLITS, Facts
from resomap.analysis.findings import data as findings
from resomap.analysis.findings import user_files
from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import join_names, name_in_text
from resomap.report.text.listing import (
    class_counts,
    listing_sentences,
    mask_sentences,
    oversized_split_sentence,
    range_sentences,
)
from resomap.text import agree, format_count, format_percent, format_ratio

MIN_LARGER_SHARE = 0.05
"""Share of larger files up to which the stored detail stands for that of the files."""
MAX_NAMED = 6
# How images that are not square become so.
SQUARED = {
    "squash": "squashed to a square",
    "center_crop": "cropped to the central square",
    "letterbox": "padded to a grey square",
}
# What is done to images with a note.
TREATMENTS = {
    "animated": "the first frame is used",
    "16 bit": "reduced to 8 bit",
    "alpha": "composited on white",
    "rotated by EXIF": "rotated upright",
    "colour profile": "not applied: colours are read as sRGB",
    "clipped box": "it reaches over the edge",
}


def dataset_alarms(facts: Facts) -> Iterator[str]:
    """Yield what makes numbers wrong whatever a network learns."""
    leak = findings.leak(facts)
    if leak.state == "fires":
        pairs = ", ".join(map(_pair_of_splits, leak.parts))
        yield (
            f"Leak: {_images(leak)} with the same pixels in two splits: {pairs}. "
            f"An example: {_example(leak)}. A network can memorise them."
        )
    contradiction = findings.contradiction(facts)
    if contradiction.state == "fires":
        yield (
            f"Contradiction: {_images(contradiction)} with the same pixels as one of another "
            f"label, such as {_example(contradiction)}. No network is right on both."
        )


def _pair_of_splits(finding: Finding) -> str:
    """Return `4 in train and test`."""
    return f"{finding.numbers['images'].value:,} in {' and '.join(finding.subject['splits'])}"


def _images(finding: Finding) -> str:
    """Return `4 images`."""
    return format_count(int(finding.numbers["images"].value), "image")


def _example(finding: Finding) -> str:
    """Return `a.jpg (train) and b.jpg (test)`."""
    names = {key: name_in_text(name) for key, name in finding.subject.items()}
    return (
        f"{names['first']} ({names['first_value']}) and "
        f"{names['second']} ({names['second_value']})"
    )


def dataset_limits(facts: Facts) -> Iterator[str]:
    """Yield what the images put in doubt, the most serious first."""
    copies, leak = findings.copies_of_train_in_test(facts), findings.leak(facts)
    # A leak into the test split has a bound on its effect; another leak has none.
    if copies.state == "shown":
        count, total = int(copies.numbers["images"].value), copies.numbers["images"].n
        assert total is not None
        share = f"{count:,} of {total:,} ({format_percent(count / total)})"
        yield (
            "Test accuracies may be too high, by at most the share of test images "
            f"that are also in train: {share}."
        )
    elif leak.state == "fires":
        yield (
            f"Accuracies include memorised images: {_images(leak)} "
            "with the same pixels in two splits."
        )
    contradiction = findings.contradiction(facts)
    if contradiction.state == "fires":
        yield (
            "Some labels are wrong, or an image does not show its class: "
            f"{_images(contradiction)} with the same pixels as one of another label."
        )
    unusable = findings.unusable_files(facts)
    if unusable.state == "shown":
        files = unusable.numbers["files"]
        share = f"{files.value:,} of {format_count(files.n or 0, 'file')}"
        yield f"Skipped as unusable: {share}; each is listed with its reason."
    for finding in findings.empty_classes(facts):
        yield _empty_classes(finding)
    yield from range_sentences(user_files.narrow_ranges(facts))
    yield from map(oversized_split_sentence, user_files.oversized_splits(facts))


def _empty_classes(finding: Finding) -> str:
    """Return which classes have no image in a split."""
    names = [name_in_text(name) for name in finding.subject["classes"]]
    count = format_count(len(names), "class")
    if len(names) > MAX_NAMED:
        names[MAX_NAMED:] = [f"{len(names) - MAX_NAMED:,} more"]
    return f"Without a {finding.subject['split']} image: {count} ({join_names(names)})."


def detail_sentences(facts: Facts, resolutions: Sequence[int]) -> Iterator[str]:
    """Yield what resolutions keep of the detail, and how many images are upscaled."""
    detail = findings.detail_kept(facts, resolutions)
    larger = user_files.larger_files(facts, resolutions)
    # Detail of larger files that is not stored is not in the spectrum either.
    source = "of the images"
    if larger.state == "shown" and larger.numbers["share"].value > MIN_LARGER_SHARE:
        source = f"stored at {facts.native_resolution} px"
    yield from _kept(detail, source)
    if "worst_share" in detail.numbers:
        share = format_percent(detail.numbers["worst_share"].value)
        name = name_in_text(detail.subject["worst_class"])
        yield f"Least is kept of class {name}: {share} at {min(resolutions)} px."
    # The reef is drawn at its native resolution: there is nothing to upscale.
    if facts.has_files and len(facts.sizes) > 1:
        yield f"{sizes_title(findings.image_sizes(facts, resolutions))}."


def _kept(finding: Finding, source: str) -> Iterator[str]:
    """Yield which share of the detail each end of the sweep keeps."""
    title = detail_title(finding).replace("the detail", f"the detail {source}")
    # Named once: spectral energy is what detail is measured by.
    yield f"{title}." if finding.state == "all kept" else f"{title} (spectral energy)."
    for part in finding.parts[1:]:
        share = format_percent(part.numbers["share"].value)
        yield f"{part.subject['resolution']} px keeps {share} of it."


def detail_title(finding: Finding) -> str:
    """Return which share of the detail the smallest resolution keeps."""
    if finding.state == "all kept":
        stored_at = finding.subject["stored_at"]
        return (
            f"Every resolution of the sweep keeps all detail that is stored at {stored_at} px"
        )
    first = finding.parts[0]
    share = format_percent(first.numbers["share"].value)
    return f"{first.subject['resolution']} px keeps {share} of the detail"


def sizes_title(finding: Finding) -> str:
    """Return how many images are smaller than the side they are resized to."""
    if finding.state == "one size":
        width, height = finding.subject["width"], finding.subject["height"]
        return f"Every image is {width} \N{MULTIPLICATION SIGN} {height} px"
    side = finding.subject["side"]
    if finding.state == "none upscaled":
        return f"No image is smaller than {side} px, the largest size that is needed"
    share = format_percent(finding.numbers["smaller"].value)
    return f"{share} of the images are smaller than {side} px and are upscaled to it"


def balance_title(finding: Finding) -> str:
    """Return how unequal the classes are."""
    numbers = finding.numbers
    if finding.state == "empty classes":
        empty = numbers["empty"]
        have = agree(empty.value, "has", "have")
        return f"{empty.value} of {format_count(empty.n or 0, 'class')} {have} no image"
    if finding.state == "balanced":
        return f"Every class has {format_count(int(numbers['smallest'].value), 'image')}"
    # A ratio reads better than counts, which the figure shows.
    ratio = numbers["largest"].value / numbers["smallest"].value
    return f"The largest class has {format_ratio(ratio)} as many images as the smallest"


def squaring_title(finding: Finding) -> str:
    """Return what making the images square costs on average."""
    mean = finding.numbers["mean"].value
    if finding.subject["aspect"] == "squash":
        return f"Squashed by a factor of {mean:.2f} on average"
    if finding.subject["aspect"] == "center_crop":
        return f"{format_percent(mean)} of the area is cropped on average"
    return f"{format_percent(mean)} of the square is padding on average"


def sheet_title(num_shown: int, num_classes: int) -> str:
    """Return which classes the contact sheet shows."""
    if num_shown == num_classes:
        return "Example images of every class"
    return f"Example images of the first {num_shown} of {num_classes:,} classes"


def dataset_facts(facts: Facts) -> dict[str, list[str]]:
    """Return what the dataset is, as sentences by subject."""
    images = {str(name): int(count) for name, count in facts.counts.sum(axis=1).items()}
    sentences = {
        "Classes": [class_counts(images), _classes(findings.class_balance(facts.counts))],
        "Images": list(_splits(facts)),
        "Files": list(listing_sentences(facts.manifest.get("listing", {}))),
        "Masks": list(mask_sentences(user_files.object_masks(facts))),
        "Sizes": [_sizes(facts)] if facts.has_files else [],
        "Copies": [_copies(findings.copies(facts))],
        "Notes": list(_notes(findings.image_notes(facts))),
    }
    return {subject: claims for subject, claims in sentences.items() if claims}


def _splits(facts: Facts) -> Iterator[str]:
    """Yield how many images each split has, and where the splits come from."""
    splits = findings.dataset_splits(facts)
    counts = [f"{splits.numbers[split].value:,} {split}" for split in SPLITS]
    classes = format_count(int(splits.numbers["classes"].value), "class")
    yield f"{_images(splits)} of {classes} ({splits.subject['dataset']}): {', '.join(counts)}."
    # The reef has no source that could give splits.
    if facts.has_files:
        origins = {
            "given": splits.subject["given"],
            "assigned by ResoMap": splits.subject["assigned"],
        }
        parts = [f"{origin}: {join_names(names)}" for origin, names in origins.items() if names]
        yield f"Splits {'; '.join(parts)}."


def _classes(finding: Finding) -> str:
    """Return how unequal the classes are, with the largest and the smallest."""
    title = balance_title(finding)
    # The largest class has no meaning when all are equal or empty.
    if finding.state == "balanced" or finding.numbers["largest"].value == 0:
        return f"{title}."
    ends = []
    for end in ("largest", "smallest"):
        name = name_in_text(str(finding.subject[end]))
        ends.append(f"{name} ({finding.numbers[end].value:,})")
    return f"{title}: {' and '.join(ends)}."


def _sizes(facts: Facts) -> str:
    """Return the sizes of the files, and how they are made square and stored."""
    stored_at = facts.native_resolution
    if len(facts.sizes) == 1:
        size = sizes_title(findings.image_sizes(facts, [stored_at]))
        return f"{size}; stored at {stored_at} px."
    sides = findings.side_lengths(facts)
    length = sides.numbers["median"]
    return (
        f"The {sides.subject['side']} side of the files has "
        f"{length.low:,} to {length.high:,} px, median {length.value:,.0f}. "
        f"They are {SQUARED[facts.manifest['aspect']]} and stored at {stored_at} px. "
        f"{squaring_title(findings.squaring(facts))}."
        f"{_larger(facts)}"
    )


def _larger(facts: Facts) -> str:
    """Return which share of the files is reduced, after a blank; nothing where none is."""
    larger = user_files.larger_files(facts, [facts.native_resolution])
    if larger.state == "not shown":
        return ""
    return f" {format_percent(larger.numbers['share'].value)} of the files have more pixels."


def _copies(finding: Finding) -> str:
    """Return how many images equal an earlier one."""
    if finding.state == "not shown":
        return "No two images are equal pixel by pixel."
    numbers = finding.numbers
    return (
        f"Equal to an earlier one, pixel by pixel: {_images(finding)}, "
        f"{numbers['other_split'].value:,} of another split, "
        f"{numbers['other_label'].value:,} with another label."
    )


def _notes(finding: Finding) -> Iterator[str]:
    """Yield how many images have each note, and what was done to them."""
    notes = []
    for note, count in finding.numbers.items():
        treatment = f" ({TREATMENTS[note]})" if note in TREATMENTS else ""
        notes.append(f"{note}: {count.value:,}{treatment}")
    if notes:
        yield f"{'; '.join(notes)}."
