"""Findings about evidence in words."""

from collections.abc import Iterator, Sequence
from typing import Any

from resomap.analysis.findings.finding import Finding
from resomap.report.methods import BASELINE_NAMES, method_name
from resomap.report.text.format import cell_name, join_names, join_sizes, sentence_case
from resomap.text import agree, format_count, format_number, format_percent

AGREEMENT_VERDICTS = {
    "alike": "as similar as those of two seeds",
    "between": "less similar than those of two seeds, but more than those of two images",
    "apart": "no more similar than those of two images",
    "open": (
        "not comparable, since those of two seeds are no more similar than those of two images"
    ),
}
INTERVENTIONS = {
    "exchange": "with everything but the object exchanged",
    "sticker": "with the sticker reversed",
}


def map_name(method: str) -> str:
    """Return the name of a method or of a baseline."""
    return BASELINE_NAMES.get(method) or method_name(method)


def reading_name(method: str, block: str) -> str:
    """Return `Grad-CAM`, or `Grad-CAM, one block` for one block at every resolution."""
    return method_name(method) + (", one block" if block == "fixed" else "")


def agreement_sentences(finding: Finding) -> Iterator[str]:
    """Yield how similar the maps of a model are at both ends of the sweep."""
    if finding.state == "unknown":
        return
    subject = finding.subject
    maps = (
        f"the maps of {subject['model']} at {subject['smallest']} and {subject['largest']} px"
    )
    # The ceiling is the agreement of two seeds, so one seed has nothing to compare with.
    if finding.state == "one seed":
        yield f"With one seed it is unknown how similar {maps} could be."
        return
    yield f"{_agreement_claim(finding, maps)}."
    for part in finding.parts:
        if part.state != finding.state:
            yield f"By {_reading(part)} they are {AGREEMENT_VERDICTS[part.state]}."


def _agreement_claim(finding: Finding, maps: str) -> str:
    """Return what the two control methods show together, or why it stays open."""
    if finding.state == "control missing":
        missing = join_names(map(method_name, finding.subject["missing_controls"]))
        return f"How similar {maps} are stays open without {missing}"
    if finding.state == "methods differ":
        return (
            f"How similar {maps} are stays open, "
            "since Grad-CAM and Integrated Gradients show different things"
        )
    # Other methods may dissent: then only the two control methods carry the claim.
    who = "Grad-CAM and Integrated Gradients"
    if all(part.state == finding.state for part in finding.parts):
        who = "every method"
    return f"{sentence_case(maps)} are {AGREEMENT_VERDICTS[finding.state]}, by {who}"


def _reading(finding: Finding) -> str:
    """Return the name of the method and block of a finding."""
    return reading_name(finding.subject["method"], finding.subject["block"])


def agreement_title(finding: Finding) -> str:
    """Return how much of the agreement of two seeds is left between the ends of the sweep."""
    if finding.state == "unknown":
        return "Maps of two resolutions were not compared"
    subject = finding.subject
    maps = f"the maps of {subject['model']}"
    where = f"between {subject['smallest']} and {subject['largest']} px"
    normalised = [
        part.numbers["normalised"].value
        for part in finding.parts
        if "normalised" in part.numbers
    ]
    if normalised:
        # The method by which least is left: an average would hide a method that dissents.
        kept = format_number(100 * min(normalised), 0)
        return f"{sentence_case(maps)} keep {kept} % or more of what two seeds share {where}"
    if finding.state != "one seed":
        return (
            f"{sentence_case(maps)} cannot be compared {where}: "
            "two seeds agree no more than two images"
        )
    return f"How much {maps} agree {where} stays open with one seed"


def localisation_sentence(finding: Finding) -> str:
    """Return how much of an image the object covers, and what shares of relevance mean."""
    area = format_percent(finding.numbers["object_area"].value)
    return (
        f"The object covers {area} of an image. "
        "Shares of relevance are relative to the best that the grid of a map allows."
    )


def contrast_sentence(finding: Finding) -> str:
    """Return where relevance follows the stripes that survive."""
    subject = finding.subject
    if not subject["followed_at"]:
        return (
            "At no size do all methods put more relevance on medium objects than on fine ones."
        )
    where = join_sizes(subject["followed_at"])
    text = f"At {where} the evidence follows the stripes that survive."
    if subject["edges_at"]:
        where = join_sizes(subject["edges_at"])
        text += f" At {where} so do edges, so the images alone could put it there."
    return text


def localisation_title(finding: Finding, contrast: Finding | None) -> str:
    """Return whether the evidence follows the cue, or how much of it lies on the object."""
    if finding.state == "unknown":
        return "No map was compared with a mask"
    # Following the cue is the stronger claim, so it takes the title where it stands.
    if contrast is not None and contrast.state != "not shown":
        subject = contrast.subject
        first, *others = subject["methods"]
        who = "every method" if others else method_name(first)
        where = join_sizes(subject["followed_at"])
        edges = ", as an edge filter's does" if contrast.state == "edges too" else ""
        return (
            f"At {where} the evidence lies on the medium stripes, "
            f"not on the fine ones, by {who}{edges}"
        )
    relevance = 100 * finding.numbers["relevance_at_largest"].value
    area = 100 * finding.numbers["area_at_largest"].value
    return (
        f"At {finding.subject['largest']} px, {relevance:.0f} % of the relevance lies on the "
        f"object, which covers {area:.0f} % of the image"
    )


def faithfulness_title(finding: Finding) -> str:
    """Return which methods beat chance and the centre everywhere."""
    if finding.state == "unknown":
        return "No map was tested on the network"
    what = "what the network uses better than chance and the centre everywhere"
    if finding.state == "none":
        return f"No method finds {what}"
    if finding.state == "all":
        return f"Every method finds {what}"
    methods, others = finding.subject["methods"], finding.subject["others"]
    verb = agree(len(methods), "finds", "find")
    text = f"{join_names(map(method_name, methods))} {verb} {what}"
    if others:
        negation = agree(len(others), "does not", "do not")
        text += f", {join_names(map(method_name, others))} {negation}"
    return text


def intervention_sentence(finding: Finding) -> str:
    """Return how many predictions follow what was changed, at the largest size."""
    subject = finding.subject
    share = format_percent(finding.numbers["largest"].value)
    return (
        f"{sentence_case(INTERVENTIONS[subject['kind']])}, {share} of the predictions of "
        f"{subject['model']} follow the change at {subject['largest']} px. "
        "By chance half of them would."
    )


def alarm_claim(findings: Sequence[Finding]) -> str:
    """Return the alarm "evidence off the object", of one cell or of several."""
    first = findings[0]
    if len(findings) == 1:
        return (
            f"{cell_name(first.subject)} predicts {_group_images(first.subject)} correctly "
            "with its evidence off the object."
        )
    cells = {(one.subject["model"], one.subject["resolution"]) for one in findings}
    return (
        f"{format_count(len(cells), 'cell')} {agree(len(cells), 'predicts', 'predict')} images "
        "correctly with the evidence off the object."
    )


def alarm_sentences(finding: Finding) -> Iterator[str]:
    """Yield one alarm, the images to look at, and what interventions show."""
    subject = finding.subject
    share = format_number(finding.numbers["share"].value)
    yield (
        f"{cell_name(subject)} predicts {_group_images(subject)} correctly, but with a share of "
        f"{share} of its evidence on the object."
    )
    noun = agree(len(subject["images"]), "image", "images")
    # Indices of images are names: they are listed, and no reader has to weigh them.
    yield f"Look at test {noun} {join_names(subject['images'])}. {_judgement(finding)}"


def _group_images(subject: Any) -> str:
    """Return `fine images`, or `images` when there are no groups."""
    if subject["group"] == "all":
        return "images"
    return f"{subject['group']} images"


def _judgement(finding: Finding) -> str:
    """Return whether interventions agree with the alarm."""
    # None when no exchange was run, or when its interval contains chance.
    judged = finding.subject["judged"]
    if judged is None:
        return "No intervention decides it."
    kinds = join_names(INTERVENTIONS[part.subject["kind"]] for part in finding.parts)
    return f"The exchange {judged} ({kinds})."


def alarm_title(finding: Finding) -> str:
    """Return whether and where predictions are correct with their evidence off the object."""
    if finding.state == "unknown":
        return "No prediction was compared with its evidence"
    if finding.state == "silent":
        return "No group is shown to be predicted correctly with its evidence off the object"
    sizes = dict[str, list[str]]()
    for px, groups in finding.subject["places"].items():
        # `all` stands alone: a dataset without groups has no other.
        sizes.setdefault(join_names(groups), []).append(str(px))
    places = [f"at {join_names(px)} px {groups} images" for groups, px in sizes.items()]
    models, where = finding.subject["models"], sentence_case(", ".join(places))
    who = f" by {join_names(models)}" if models else ""
    if not finding.subject["refuted"]:
        return f"{where} are predicted correctly for the wrong reason{who}"
    right = f"{where.replace(' all images', '')}: right answers{who}"
    return f"{right} have their evidence off the object, but no exchange confirms it"


def explanations_title(run: dict[str, Any]) -> str:
    """Return whose maps the figure shows."""
    return f"What {run['model']} bases its predictions on (seed {run['seed']})"


def correct_and_fooled_title(run: dict[str, Any], fires: bool) -> str:
    """Return what stands at the left and at the right of the figure."""
    where = f"{cell_name(run)} (seed {run['seed']})"
    if fires:
        return (
            f"Right for the wrong reason? {where} predicts all of these correctly, "
            "those at the left with its evidence off the object"
        )
    return (
        f"{where} predicts all of these correctly, with the least evidence on the object "
        "at the left and the most at the right"
    )


def mean_maps_title(model: str) -> str:
    """Return whose mean maps the figure shows, and what a mean can show."""
    return f"What supports a class wherever the object is: mean maps of {model}"
