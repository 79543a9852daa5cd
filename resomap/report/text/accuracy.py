"""Findings about accuracy in words."""

from collections.abc import Sequence

from resomap.analysis.findings.finding import Finding
from resomap.report.text.format import format_estimate
from resomap.text import agree, format_count, format_points
from resomap.workflow.predictions import RAW

ADAPTED = {
    "bn": "with BatchNorm statistics of that size",
    "finetune": "with classifier and BatchNorm fine-tuned at that size",
}
"""How a network was adapted to a resolution, by mode."""


def baseline_sentence(finding: Finding) -> str:
    """Return what the majority class scores, and how many cells are shown to beat it."""
    majority, above = finding.numbers["majority"], finding.numbers["cells_above"]
    images, cells = (
        format_count(majority.n or 0, "test image"),
        format_count(above.n or 0, "cell"),
    )
    text = f"Always predicting the majority class scores {majority.value:.3f} on {images}. "
    if not above.value:
        return f"{text}No cell is shown to beat it."
    verb = agree(above.value, "is", "are")
    return f"{text}{above.value} of {cells} {verb} shown to beat it."


def accuracy_sentence(finding: Finding, confidence: float | None = None) -> str:
    """Return the accuracy of a model at both ends of the sweep, and its knee."""
    subject, numbers = finding.subject, finding.numbers
    smallest = format_estimate(numbers["smallest"], 3, confidence)
    text = f"{subject['model']} scores {smallest} at {subject['smallest']} px"
    if subject["largest"] != subject["smallest"]:
        largest = format_estimate(numbers["largest"], 3)
        text += f" and {largest} at {subject['largest']} px"
    return f"{text}.{_knee(finding)}"


def _knee(finding: Finding) -> str:
    """Return the sentence about the knee after a space; nothing when unknown."""
    if finding.state == "unknown":
        return ""
    if finding.state == "not learned":
        majority = finding.numbers["majority"].value
        return f" It is not shown to beat the majority class, which scores {majority:.3f}."
    px, above = finding.subject["knee_at_most"], finding.subject["knee_above"]
    within = f"within {format_points(finding.numbers['margin'].value)} of its best"
    # Each state names only what the sweep shows: a knee is a bracket, never a point.
    templates = {
        "below": f"Already {px} px is shown to be {within}: the knee is at or below it.",
        "above": (
            f"No size below {px} px is shown to be {within}: "
            "the sweep ends before the curve is shown to level off."
        ),
        "open": (
            f"From {px} px on it is shown to be {within}; no smaller size is shown to be worse."
        ),
        "bracketed": (
            f"Its knee is above {above} px and at or below {px} px, "
            f"the first size shown to be {within}."
        ),
    }
    return f" {templates[finding.state]}"


def accuracy_title(finding: Finding | None) -> str:
    """Return how far the most accurate model climbs over its resolutions."""
    if finding is None:
        return "No run has finished"
    subject, numbers = finding.subject, finding.numbers
    # The most accurate model is one that has learned, if there is any.
    if finding.state == "not learned":
        return f"No cell is shown to beat the majority class ({numbers['majority'].value:.3f})"
    model, best = subject["model"], f"{numbers['best'].value:.2f} at {subject['best']} px"
    if subject["best"] == subject["smallest"]:
        return f"{model} reaches {best}"
    start = f"{numbers['smallest'].value:.2f} at {subject['smallest']} px"
    # A title is a claim: a curve climbs when its smallest size is shown to be less accurate.
    if not subject["climbs"]:
        return f"{model}: {start}, {best}, and no difference is shown"
    return f"{model} climbs from {start} to {best}"


def stripes_sentence(finding: Finding, confidence: float) -> str:
    """Return up to which resolution a model loses stripes, and from which it reads them."""
    subject, numbers = finding.subject, finding.numbers
    frequency = numbers["frequency"].value
    # Lost and read leave a gap where the model is neither: nothing is claimed about it.
    claims = []
    if "lost" in numbers:
        accuracy = format_estimate(numbers["lost"], 3, confidence)
        claims.append(f"are a coin toss up to {subject['lost_to']} px, accuracy {accuracy}")
    if "read" in numbers:
        verb = "are read from"
        # High accuracy is not reading when the alarm fires: a sticker may give the answer.
        if finding.state == "wrong reason":
            verb = "are predicted correctly, but by something else, from"
        shown = None if claims else confidence
        accuracy = format_estimate(numbers["read"], 3, shown)
        claims.append(f"{verb} {subject['read_from']} px, accuracy {accuracy}")
    return (
        f"For {subject['model']} the {subject['group']} stripes "
        f"({frequency:g} cycles per image, Nyquist limit {2 * frequency:g} px) "
        f"{', and '.join(claims)}."
    )


def stripes_title(findings: Sequence[Finding]) -> str:
    """Return up to which resolution every model loses the stripes of each group."""
    lost = [finding.subject for finding in findings if finding.subject["lost_to"] is not None]
    if not findings:
        return "No run has finished"
    if not lost:
        return "No group's stripes are shown to be a coin toss for every model"
    first, *others = lost
    text = f"{first['group'].capitalize()} stripes are a coin toss up to {first['lost_to']} px"
    for subject in others:
        text += f", {subject['group']} ones up to {subject['lost_to']} px"
    return text


def sampling_theory_sentence(finding: Finding) -> str:
    """Return what sampling theory predicts at each resolution, and what the model reaches."""
    noun = agree(len(finding.parts), "an accuracy", "accuracies")
    resolutions = ", ".join(str(part.subject["resolution"]) for part in finding.parts)
    predicted = ", ".join(f"{part.numbers['predicted'].value:.2f}" for part in finding.parts)
    reached = ", ".join(f"{part.numbers['accuracy'].value:.2f}" for part in finding.parts)
    return (
        f"Sampling theory alone predicts {noun} of {predicted} at {resolutions} px; "
        f"{finding.subject['model']} reaches {reached}."
    )


def cliff_title(finding: Finding) -> str:
    """Return up to how many cycles per pixel stripes are read and lost."""
    if finding.state == "unknown":
        return "Stripes by cycles per pixel"
    read = f"{finding.numbers['read_up_to'].value:.2f}"
    lost = f"{finding.numbers['lost_from'].value:.2f}"
    if finding.state == "shown":
        return f"One cliff: stripes are read up to {read} cycles per pixel and lost from {lost}"
    return (
        f"Stripes are read below {lost} cycles per pixel and lost above {read}; "
        "in between it depends on the model"
    )


def transfer_title(finding: Finding) -> str:
    """Return the largest gain from testing at another resolution, or that none is shown."""
    subject = finding.subject
    if finding.state == "unknown":
        return "No run has finished"
    if finding.state == "one resolution":
        return "Tested at the resolution of training: the sweep has only one"
    if finding.state == "gain":
        gain = format_points(finding.numbers["gain"].value)
        return (
            f"{subject['model']}, trained at {subject['trained_at']} px, gains {gain} "
            f"when tested at {subject['tested_at']} px{_adapted(subject['mode'])}"
        )
    # The largest gain of a sweep is its smallest loss when every pair loses.
    if finding.state == "loss":
        loss = format_points(-finding.numbers["gain"].value)
        return f"Every network loses {loss} or more at a size it was not trained at"
    return "No network is shown to gain at a size it was not trained at"


def transfer_sentence(finding: Finding) -> str:
    """Return the title with the numbers of the most favourable pair of resolutions."""
    subject, numbers = finding.subject, finding.numbers
    return (
        f"{transfer_title(finding)}. The most favourable of {format_count(numbers['gain'].n or 0, 'pair')}: "
        f"{subject['model']}, trained at {subject['trained_at']} px, scores "
        f"{format_estimate(numbers['own'], 3)} there and "
        f"{format_estimate(numbers['elsewhere'], 3)} at {subject['tested_at']} px"
        f"{_adapted(subject['mode'])}."
    )


def _adapted(mode: str) -> str:
    """Return how a network was adapted, after a space; nothing when it was not."""
    return f" {ADAPTED[mode]}" if mode != RAW else ""


def adaptation_sentence(finding: Finding) -> str:
    """Return what an adaptation does to the accuracy away from the resolution of training."""
    numbers = finding.numbers
    pairs = format_count(numbers["raw"].n or 0, "pair")
    return (
        f"The mean accuracy over {pairs} of unequal resolutions is "
        f"{numbers['raw'].value:.2f} as trained, and {numbers['adapted'].value:.2f} "
        f"{ADAPTED[finding.subject['mode']]}."
    )
