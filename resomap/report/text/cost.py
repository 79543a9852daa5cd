"""Findings about cost in words."""

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import (
    cell_name,
    format_energy,
    format_estimate,
    format_latency,
    way_name,
)
from resomap.text import format_count, format_percent

STAGE_NAMES = {
    "decode": "Decoding the file",
    "resize": "Resizing",
    "copy": "Copying to the device",
    "forward": "The network",
}


def latency_sentences(finding: Finding, confidence: float | None = None) -> str:
    """Return what an image costs a model, and how that grows with resolution."""
    subject, numbers = finding.subject, finding.numbers
    text = f"{subject['model']} takes {_latency(finding, 'smallest')}"
    if subject["smallest"] == subject["largest"]:
        return f"{text}."
    text += (
        f" and {_latency(finding, 'largest')}: "
        f"{numbers['times_latency'].value:.2g} times the latency "
        f"for {numbers['times_pixels'].value:.3g} times the pixels."
    )
    # Growth needs three resolutions and a crossover a flat start: either may be missing.
    for part in finding.parts:
        if part.kind == "growth with pixels":
            text += f" {_growth(part, confidence)}"
        else:
            text += f" {_crossover(part)}"
    return text


def _latency(finding: Finding, end: str) -> str:
    """Return `2.31 ms per image at 24 px (p90 2.5 ms)`."""
    median = format_latency(finding.numbers[end])
    p90 = format_latency(finding.numbers[f"{end}_p90"])
    return f"{median} per image at {finding.subject[end]} px (p90 {p90})"


def _growth(finding: Finding, confidence: float | None) -> str:
    """Return how latency and memory grow with the number of pixels."""
    numbers = finding.numbers
    latency = format_estimate(numbers["latency_exponent"], confidence=confidence)
    misfit = format_percent(numbers["latency_misfit"].value)
    text = (
        f"Its latency grows as the number of pixels to the power {latency}, "
        f"to within {misfit} at every size."
    )
    if "memory_exponent" not in numbers:
        return text
    # Memory has no noise, so its "interval" is the range of the slopes between neighbours.
    memory = format_estimate(numbers["memory_exponent"]).replace("(", "(from step to step ")
    return (
        f"{text} Its peak memory at batch "
        f"{finding.subject['batch_size']} grows to the power {memory}."
    )


def _crossover(finding: Finding) -> str:
    """Return below which resolution a smaller image saves no time."""
    px = finding.subject["resolution"]
    saves = "saves no time" if finding.state == "shown" else "is not shown to save time"
    ratio = format_estimate(finding.numbers["ratio"])
    smallest = finding.subject["smallest"]
    return (
        f"Below {px} px a smaller image {saves}: "
        f"{px} px takes {ratio} times as long as {smallest} px."
    )


def latency_title(finding: Finding | None, measured: bool) -> str:
    """Return what more pixels cost the model whose latency grows most."""
    if finding is None:
        return "The cost of an image" if measured else "No cost was measured"
    subject, numbers = finding.subject, finding.numbers
    return (
        f"{numbers['times_pixels'].value:.3g} times the pixels cost {subject['model']} "
        f"{numbers['times_latency'].value:.2g} times the latency "
        f"({subject['smallest']} to {subject['largest']} px)"
    )


def breakdown_title(finding: Finding) -> str:
    """Return which stage takes longest, in how many cells, and the share of the network."""
    if finding.state == "unknown":
        return "The time from a file to a prediction was not measured by stage"
    cells, stage = finding.numbers["cells"], finding.subject["stage"]
    where = f"in {cells.value} of {cells.n} cells"
    if cells.value == cells.n:
        where = "in every cell"
    # The network may be a small part even where it takes longest, so its share is given.
    share = finding.numbers["network_share"]
    assert share.low is not None and share.high is not None
    ends = " to ".join(dict.fromkeys(map(format_percent, (share.low, share.high))))
    text = f"{STAGE_NAMES[stage]} takes longest {where}"
    if stage == "forward":
        return f"{text}: {ends} of the time"
    return f"{text}; the network takes {ends} of the time"


def breakdown_sentence(finding: Finding) -> str:
    """Return the title as a sentence."""
    title = breakdown_title(finding)
    return f"From file to prediction, {title[0].lower()}{title[1:]}."


def inversion_sentence(finding: Finding) -> str:
    """Return the alarm that a larger image is shown to be faster."""
    subject, joint = finding.subject, finding.numbers["joint_confidence"]
    ratio = format_estimate(finding.numbers["ratio"])
    return (
        f"A larger image is faster: {subject['model']} takes {ratio} times as long at "
        f"{subject['larger']} px as at {subject['resolution']} px "
        f"({way_name(subject)}, batch {subject['batch_size']}). "
        f"This is shown with {100 * joint.value:g} % confidence for the "
        f"{format_count(joint.n or 0, 'step')} of the sweep together. "
        "Something other than the number of pixels decides its time there."
    )


def energy_sentence(finding: Finding) -> str:
    """Return the energy of an image in the chosen cell, or the most efficient cell."""
    subject, numbers = finding.subject, finding.numbers
    batch = f"at batch {subject['batch_size']}"
    if finding.kind == "most images per watt":
        rate = numbers["images_per_watt"]
        # Rates span powers of ten, so they have digits that count and not decimals.
        ends = f"{rate.low:.3g}\N{EN DASH}{rate.high:.3g}"
        value = f"{rate.value:.3g} ({ends}) {batch}"
        return f"Most images per second per watt: {cell_name(subject)}, {value}."
    text = (
        f"{cell_name(subject)} takes {format_energy(numbers['image'].value)} per image {batch}"
    )
    if "image_above_idle" in numbers:
        text += f" ({format_energy(numbers['image_above_idle'].value)} above idle)"
    return f"{text}{_per_correct_image(finding)}."


def _per_correct_image(finding: Finding) -> str:
    """Return `, and 27 mJ per correct image (25 mJ to 30 mJ)`; nothing where none is correct."""
    correct = finding.numbers.get("correct_image")
    if correct is None:
        return ""
    text = f", and {format_energy(correct.value)} per correct image"
    # The energy has no upper end where the interval of the accuracy contains 0.
    if correct.low is None or correct.high is None:
        return text
    return f"{text} ({format_energy(correct.low)} to {format_energy(correct.high)})"
