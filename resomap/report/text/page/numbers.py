"""Numbers of findings as rows of a small table: a sentence has at most three of them."""

from collections.abc import Iterator
from typing import NamedTuple

from resomap.analysis.findings.finding import Estimate, Finding
from resomap.report.methods import BASELINE_NAMES, method_name
from resomap.report.text.accuracy import ADAPTED
from resomap.report.text.evidence import INTERVENTIONS, map_name, reading_name
from resomap.report.text.format import (
    cell_name,
    format_energy,
    shorten_name,
    way_name,
)
from resomap.text import format_count, format_interval, format_milliseconds, format_number
from resomap.workflow.predictions import RAW


class NumberRow(NamedTuple):
    """One number of a finding: what it is, its value, its interval, and of how many."""

    name: str
    value: str
    interval: str = ""
    n: str = ""


def number_row(name: str, estimate: Estimate, digits: int = 3, what: str = "") -> NumberRow:
    """Return the row of an estimate; `what` is counted by its n."""
    interval = ""
    if estimate.low is not None and estimate.high is not None:
        interval = format_interval(estimate.low, estimate.high, digits)
    n = format_count(estimate.n, what) if what and estimate.n is not None else ""
    return NumberRow(name, format_number(estimate.value, digits), interval, n)


def _ends(finding: Finding) -> dict[str, int]:
    """Return the sizes of the ends of a finding by name; one where both are the same."""
    names = ("smallest", "largest")
    sizes = {finding.subject[name]: name for name in reversed(names)}
    return {name: px for px, name in reversed(sizes.items())}


def accuracy_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the accuracy of a model at both ends of the sweep and at its best size."""
    model, numbers = finding.subject["model"], finding.numbers
    sizes = {finding.subject[name]: name for name in ("best", "largest", "smallest")}
    for px in sorted(sizes):
        yield number_row(f"{model} at {px} px", numbers[sizes[px]], 3, "test image")


def baseline_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield what the majority class scores."""
    if "majority" in finding.numbers:
        yield number_row("majority class", finding.numbers["majority"], 3, "test image")


def stripe_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the accuracy inside the pairs of a group where it is lost and where it is read."""
    group, frequency = finding.subject["group"], finding.numbers["frequency"].value
    yield NumberRow(f"{group} stripes: Nyquist limit", f"{2 * frequency:g} px")
    for name, key in (("lost", "lost_to"), ("read", "read_from")):
        if name in finding.numbers:
            label = f"{group} stripes at {finding.subject[key]} px"
            yield number_row(label, finding.numbers[name], 3, "image")


def theory_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the accuracy that theory predicts, and the one that is reached, at every size."""
    for part in finding.parts:
        px = part.subject["resolution"]
        yield number_row(f"predicted at {px} px", part.numbers["predicted"], 3)
        yield number_row(f"reached at {px} px", part.numbers["accuracy"], 3, "test image")


def transfer_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the accuracy of the most favourable pair of training and test size."""
    subject = finding.subject
    trained = f"{subject['model']} trained at {subject['trained_at']} px"
    adapted = "" if subject["mode"] == RAW else f" {ADAPTED[subject['mode']]}"
    yield number_row(f"{trained}, tested there", finding.numbers["own"])
    label = f"{trained}, tested at {subject['tested_at']} px{adapted}"
    yield number_row(label, finding.numbers["elsewhere"])


def demand_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the shares of the test images by the size from which they are right."""
    numbers, subject = finding.numbers, finding.subject
    yield number_row(
        f"right from {subject['smallest']} px on", numbers["smallest"], 3, "test image"
    )
    if finding.state != "one resolution":
        label = f"right at {subject['largest']} px only"
        yield number_row(label, numbers["largest"], 3, "test image")
    label = f"wrong at {subject['largest']} px"
    yield number_row(label, numbers["never"], 3, "test image")


def latency_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the latency of a model at both ends, and the exponents of its growth."""
    model = finding.subject["model"]
    for end, px in _ends(finding).items():
        estimate = finding.numbers[end]
        yield NumberRow(
            f"{model} at {px} px, median",
            format_milliseconds(estimate.value),
            _milliseconds(estimate),
            "" if estimate.n is None else format_count(estimate.n, "repetition"),
        )
        p90 = finding.numbers[f"{end}_p90"].value
        yield NumberRow(f"{model} at {px} px, 90th percentile", format_milliseconds(p90))
    for part in finding.parts:
        yield from _growth_numbers(part, model)


def _milliseconds(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.3g}\N{EN DASH}{estimate.high:.3g} ms"


def _growth_numbers(finding: Finding, model: str) -> Iterator[NumberRow]:
    numbers = finding.numbers
    if finding.kind == "crossover":
        sizes = f"{finding.subject['resolution']} px over {finding.subject['smallest']} px"
        yield number_row(f"{model}: latency of {sizes}", numbers["ratio"], 2)
        return
    label = f"{model}: power of the latency"
    yield number_row(label, numbers["latency_exponent"], 2, "size")
    if "memory_exponent" in numbers:
        # Memory has no noise: its "interval" is the range of the slopes between neighbours.
        label = f"{model}: power of the memory, from step to step"
        yield number_row(label, numbers["memory_exponent"], 2, "size")


def inversion_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the latency of a larger image over that of a smaller one."""
    subject = finding.subject
    sizes = f"{subject['larger']} px over {subject['resolution']} px"
    label = f"{subject['model']} ({way_name(subject)}): latency of {sizes}"
    yield number_row(label, finding.numbers["ratio"], 2, "round")


def energy_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the energy of an image in the chosen cell, or the best rate per watt."""
    cell, numbers = cell_name(finding.subject), finding.numbers
    if "images_per_watt" in numbers:
        rate = numbers["images_per_watt"]
        # Rates span powers of ten, so they have digits that count and not decimals.
        interval = f"{rate.low:.3g}\N{EN DASH}{rate.high:.3g}" if rate.low is not None else ""
        yield NumberRow(f"{cell}: images per second and watt", f"{rate.value:.3g}", interval)
    for name, words in (
        ("image", "energy per image"),
        ("image_above_idle", "energy per image, above idle"),
        ("correct_image", "energy per correct image"),
    ):
        if name in numbers:
            one = numbers[name]
            # The energy has no upper end where the interval of the accuracy contains 0.
            known = one.low is not None and one.high is not None
            interval = f"{format_energy(one.low)} to {format_energy(one.high)}" if known else ""  # type: ignore[arg-type]
            yield NumberRow(f"{cell}: {words}", format_energy(one.value), interval)


def cascade_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield what the best cascade saves and scores."""
    names = {
        "saved": "cascade: share of the latency saved",
        "accuracy": "cascade: test accuracy",
        "difference": "cascade: accuracy less that of its last cell",
        "escalated": "cascade: share of the images passed on",
    }
    for name, words in names.items():
        if name in finding.numbers:
            yield number_row(words, finding.numbers[name])


def agreement_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield how similar maps are, on the scale of each method and as rank correlations."""
    for part in finding.parts:
        name, numbers = (
            reading_name(part.subject["method"], part.subject["block"]),
            part.numbers,
        )
        if "normalised" in numbers:
            label = f"{name}: similarity (0 another image, 1 another seed)"
            yield number_row(label, numbers["normalised"], 2)
        raw = numbers.get("observed", numbers.get("same_seed"))
        if raw is not None:
            yield number_row(f"{name}: rank correlation", raw, 2)


def reference_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the rank correlation of maps that know nothing that was learned."""
    name = BASELINE_NAMES.get(finding.subject["method"], "")
    if finding.subject["network"] == "untrained":
        name = f"untrained network, {method_name(finding.subject['method'])}"
    yield number_row(f"without learning, {name}: rank correlation", finding.numbers["raw"], 2)


def localisation_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the share of relevance on the object, by method and at both ends."""
    yield from _by_method(finding, "share on the object")


def faithfulness_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the gain of each method over a random order, at both ends."""
    yield from _by_method(finding, "insertion minus deletion, over a random order")


def _by_method(finding: Finding, what: str) -> Iterator[NumberRow]:
    for part in finding.parts:
        for end, px in _ends(finding).items():
            label = f"{map_name(part.subject['method'])} at {px} px: {what}"
            yield number_row(label, part.numbers[end], 2)


def contrast_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield relevance on medium minus relevance on fine objects, by size."""
    for part in finding.parts:
        for name, words in (("methods", "mean over methods"), ("edge", "edge filter")):
            if name in part.numbers:
                label = f"medium minus fine at {part.subject['resolution']} px: {words}"
                yield number_row(label, part.numbers[name], 2)


def intervention_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield how many predictions follow what was changed, at both ends."""
    for end, px in _ends(finding).items():
        label = f"{INTERVENTIONS[finding.subject['kind']]} at {px} px: follow the change"
        yield number_row(label, finding.numbers[end], 2, "image")


def alarm_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the share of evidence on the object, the accuracy, and what interventions show."""
    where = f"{cell_name(finding.subject)}, {finding.subject['group']} images"
    label = f"{where}: evidence on the object (0 chance, 1 the best)"
    yield number_row(label, finding.numbers["share"], 2, "image")
    yield number_row(f"{where}: accuracy", finding.numbers["accuracy"], 2)
    for part in finding.parts:
        label = f"{where}, {INTERVENTIONS[part.subject['kind']]}: follow the change"
        yield number_row(label, part.numbers["follows_rest"], 2, "image")


def detail_numbers(finding: Finding) -> Iterator[NumberRow]:
    """Yield the share of the detail that the ends of the sweep keep."""
    for part in finding.parts:
        label = f"detail kept at {part.subject['resolution']} px"
        yield number_row(label, part.numbers["share"])
    if "worst_share" in finding.numbers:
        name = shorten_name(str(finding.subject["worst_class"]), 40)
        yield number_row(f"least kept, of class {name}", finding.numbers["worst_share"])
