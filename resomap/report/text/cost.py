"""Findings about cost in words."""

from collections.abc import Iterator, Sequence

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import cell_name, format_energy, format_latency, way_name
from resomap.text import format_count, format_number, format_percent

STAGE_NAMES = {
    "decode": "Decoding the file",
    "resize": "Resizing",
    "copy": "Copying to the device",
    "forward": "The network",
}


def latency_sentences(finding: Finding) -> Iterator[str]:
    """Yield how latency and memory of a model grow with resolution, as far as it is known."""
    model = finding.subject["model"]
    if finding.subject["smallest"] == finding.subject["largest"]:
        latency = format_latency(finding.numbers["smallest"])
        yield f"{model} takes {latency} per image at {finding.subject['smallest']} px."
    # Growth needs three resolutions and a crossover a flat start: either may be missing.
    for part in finding.parts:
        if part.kind == "growth with pixels":
            yield from _growth(part, model)
        else:
            yield _crossover(part, model)


def _growth(finding: Finding, model: str) -> Iterator[str]:
    """Yield how latency and memory grow with the number of pixels."""
    numbers = finding.numbers
    exponent = format_number(numbers["latency_exponent"].value)
    misfit = format_percent(numbers["latency_misfit"].value)
    yield (
        f"The latency of {model} grows as the number of pixels to the power {exponent}, "
        f"to within {misfit} at every size."
    )
    if "memory_exponent" in numbers:
        exponent = format_number(numbers["memory_exponent"].value)
        yield f"Its peak memory at batch {finding.subject['batch_size']} grows to the power {exponent}."


def _crossover(finding: Finding, model: str) -> str:
    """Return below which resolution a smaller image saves no time."""
    saves = "saves no time" if finding.state == "shown" else "is not shown to save time"
    return f"Below {finding.subject['resolution']} px, a smaller image of {model} {saves}."


def latency_title(finding: Finding | None, measured: bool) -> str:
    """Return what more pixels cost the model whose latency grows most."""
    if finding is None:
        return "The cost of an image" if measured else "No cost was measured"
    subject, times = finding.subject, finding.numbers["times_latency"].value
    return (
        f"From {subject['smallest']} to {subject['largest']} px, the latency of "
        f"{subject['model']} grows {times:.2g} times"
    )


def breakdown_title(finding: Finding) -> str:
    """Return which stage takes longest, and in how many cells."""
    if finding.state == "unknown":
        return "The time from a file to a prediction was not measured by stage"
    cells, stage = finding.numbers["cells"], finding.subject["stage"]
    where = f"in {cells.value} of {cells.n} cells"
    if cells.value == cells.n:
        where = "in every cell"
    return f"{STAGE_NAMES[stage]} takes longest {where}"


def breakdown_sentences(finding: Finding) -> Iterator[str]:
    """Yield the title as a sentence, and the share of the network."""
    title = breakdown_title(finding)
    yield f"From file to prediction, {title[0].lower()}{title[1:]}."
    # The network may be a small part even where it takes longest, so its share is given.
    share = finding.numbers["network_share"]
    assert share.low is not None and share.high is not None
    ends = " to ".join(dict.fromkeys(map(format_percent, (share.low, share.high))))
    yield f"The network itself takes {ends} of that time."


def inversion_claim(findings: Sequence[Finding]) -> str:
    """Return the alarm that larger images are shown to be faster."""
    if len(findings) > 1:
        return f"A larger image is faster in {format_count(len(findings), 'measurement')}."
    subject = findings[0].subject
    return f"{subject['model']} is faster at {subject['larger']} px than at {subject['resolution']} px."


def inversion_sentences(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield each step at which a larger image is faster, and how sure that is."""
    for finding in findings:
        subject = finding.subject
        yield (
            f"{subject['model']} takes less time at {subject['larger']} px than at "
            f"{subject['resolution']} px ({way_name(subject)}, batch {subject['batch_size']})."
        )
    joint = findings[0].numbers["joint_confidence"]
    yield (
        f"This is shown with {100 * joint.value:g} % confidence for the "
        f"{format_count(joint.n or 0, 'step')} of the sweep together."
    )
    yield "Something other than the number of pixels decides the time there."


def energy_sentence(finding: Finding) -> str:
    """Return the energy of an image in the chosen cell, or the most efficient cell."""
    subject, numbers = finding.subject, finding.numbers
    batch = f"at batch {subject['batch_size']}"
    if finding.kind == "most images per watt":
        return f"{cell_name(subject)} predicts the most images per second and watt, {batch}."
    energy = format_energy(numbers["image"].value)
    return f"{cell_name(subject)} takes {energy} per image {batch}."
