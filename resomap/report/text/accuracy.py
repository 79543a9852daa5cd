"""Findings about accuracy in words."""

from collections.abc import Iterator, Sequence

from resomap.analysis.findings.finding import Finding
from resomap.text import agree, format_count, format_points
from resomap.workflow.predictions import RAW

ADAPTED = {
    "bn": "with BatchNorm statistics of that size",
    "finetune": "with classifier and BatchNorm fine-tuned at that size",
}
"""How a network was adapted to a resolution, by mode."""
MAX_THEORY_DISTANCE = 0.1
"""From here on a prediction of accuracy says nothing: half the way from chance to right is .25."""


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


def accuracy_claim(finding: Finding | None) -> str:
    """Return what more pixels do to the accuracy of the most accurate model."""
    if finding is None:
        return "No run has finished."
    subject, numbers = finding.subject, finding.numbers
    model, smallest, best = subject["model"], subject["smallest"], subject["best"]
    if finding.state == "not learned":
        return "No cell is shown to beat the majority class."
    if smallest == subject["largest"]:
        return f"{model} scores {numbers['best'].value:.3f} at {best} px."
    if best == smallest:
        return f"{model} is most accurate at {best} px, the smallest size."
    if not subject["climbs"]:
        return f"{model} is most accurate at {best} px, but {smallest} px is not shown to be worse."
    gain = format_points(numbers["best"].value - numbers["smallest"].value)
    return f"From {smallest} to {best} px, {model} gains {gain} of accuracy."


def knee_sentences(finding: Finding) -> Iterator[str]:
    """Yield where the accuracy of a model is shown to level off; nothing when unknown."""
    model = finding.subject["model"]
    if finding.state == "unknown":
        return
    if finding.state == "not learned":
        yield f"{model} is not shown to beat the majority class."
        return
    px, above = finding.subject["knee_at_most"], finding.subject["knee_above"]
    within = f"within {format_points(finding.numbers['margin'].value)} of its best"
    # Each state names only what the sweep shows: a knee is a bracket, never a point.
    templates = {
        "below": (
            f"Already at {px} px, {model} is shown to be {within}.",
            "The knee is at or below that size.",
        ),
        "above": (
            f"No size of {model} below {px} px is shown to be {within}.",
            "So the sweep ends before the curve is shown to level off.",
        ),
        "open": (
            f"From {px} px on, {model} is shown to be {within}.",
            "No smaller size is shown to be worse.",
        ),
        "bracketed": (
            f"The knee of {model} is above {above} px and at or below {px} px.",
            f"The latter is the first size shown to be {within}.",
        ),
    }
    yield " ".join(templates[finding.state])


def accuracy_title(finding: Finding | None) -> str:
    """Return the claim about the most accurate model as a title."""
    return accuracy_claim(finding).removesuffix(".")


def stripes_sentences(finding: Finding) -> Iterator[str]:
    """Yield from which resolution a model reads stripes, and up to which it loses them."""
    subject = finding.subject
    model, stripes = subject["model"], f"the {subject['group']} stripes"
    if subject["read_from"] is None:
        yield f"{model} reads {stripes} at no size of the sweep."
    elif finding.state == "wrong reason":
        # High accuracy is not reading when the alarm fires: a sticker may give the answer.
        yield (
            f"From {subject['read_from']} px on, {model} predicts {stripes} correctly, "
            "but by something else."
        )
    else:
        yield f"{model} reads {stripes} from {subject['read_from']} px on."
    # Lost and read leave a gap where the model is neither: nothing is claimed about it.
    if subject["lost_to"] is not None:
        yield f"Up to {subject['lost_to']} px {stripes} are a coin toss."


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
    """Return how far the model is at most from what sampling theory predicts."""
    model = finding.subject["model"]
    largest = max(
        abs(part.numbers["accuracy"].value - part.numbers["predicted"].value)
        for part in finding.parts
    )
    if largest > MAX_THEORY_DISTANCE:
        return (
            f"Sampling theory does not predict the accuracy of {model}: at one size it is "
            f"{format_points(largest)} off. A network that has not learned enough stays below."
        )
    return (
        f"Sampling theory alone predicts the accuracy of {model} to within "
        f"{format_points(largest)} at every size."
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
    """Return the title as a sentence, and how many pairs of resolutions were compared."""
    count = finding.numbers["gain"].n or 0
    pairs, were = format_count(count, "pair"), agree(count, "was", "were")
    return f"{transfer_title(finding)}. {pairs} of training and test size {were} compared."


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
