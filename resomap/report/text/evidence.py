"""Findings about evidence in words."""

from collections.abc import Iterator, Sequence
from typing import Any

from resomap.analysis.findings.finding import Finding
from resomap.report.methods import BASELINE_NAMES, method_name
from resomap.report.text.format import (
    cell_name,
    format_estimate,
    format_share,
    join_names,
    sentence_case,
)
from resomap.text import EN_DASH, MINUS, agree, format_count, format_number

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


def agreement_sentences(finding: Finding, references: Sequence[Finding]) -> Iterator[str]:
    """Yield how similar the maps of a model are at both ends of the sweep."""
    if finding.state == "unknown":
        return
    subject = finding.subject
    maps = (
        f"the maps of {subject['model']} at {subject['smallest']} and {subject['largest']} px"
    )
    # The ceiling is the agreement of two seeds, so one seed has nothing to compare with.
    if finding.state == "one seed":
        raw = ", ".join(map(_raw_agreement, finding.parts))
        yield f"With one seed it is unknown how similar {maps} could be. Raw agreement: {raw}."
    else:
        claim = _agreement_claim(finding, maps)
        # A raw correlation has no meaning without its scale, which is given once.
        scale = "0 is the map of another image, 1 that of another seed"
        parts = [_method_agreement(part, finding.state) for part in finding.parts]
        yield f"{claim} ({scale}). {' '.join(parts)}"
    if references:
        values = [f"{_reference(one)} {_value(one, 'raw')}" for one in references]
        yield f"Raw agreement of maps without learning: {', '.join(values)}."


def _raw_agreement(finding: Finding) -> str:
    """Return `Grad-CAM 0.61 (floor 0.20)`."""
    floor = _value(finding, "floor")
    return f"{_reading(finding)} {_value(finding, 'same_seed')} (floor {floor})"


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


def _method_agreement(finding: Finding, common: str) -> str:
    """Return the agreement by one method, and its verdict when it differs."""
    bounds = (
        f"raw {_value(finding, 'observed')}, floor {_value(finding, 'floor')}, "
        f"ceiling {_value(finding, 'ceiling')}"
    )
    text = f"{_reading(finding)}: {bounds}"
    if "normalised" in finding.numbers:
        normalised = format_estimate(finding.numbers["normalised"], confidence=0.95)
        text = f"{_reading(finding)}: {normalised}; {bounds}"
    if finding.state == common:
        return f"{text}."
    return f"{text}; {AGREEMENT_VERDICTS[finding.state]}."


def _reading(finding: Finding) -> str:
    """Return the name of the method and block of a finding."""
    return reading_name(finding.subject["method"], finding.subject["block"])


def _value(finding: Finding, name: str) -> str:
    """Return one number of a finding; a dash when it is unknown."""
    # A blank in agreement.csv: one seed has no ceiling, for example.
    known = finding.numbers.get(name)
    return EN_DASH if known is None else format_number(known.value)


def _reference(finding: Finding) -> str:
    """Return the name of maps without learning."""
    if finding.subject["network"] == "untrained":
        return f"an untrained network ({_reading(finding)})"
    return BASELINE_NAMES[finding.subject["method"]]


def agreement_title(finding: Finding) -> str:
    """Return how much of the agreement of two seeds is left between the ends of the sweep."""
    if finding.state == "unknown":
        return "Maps of two resolutions were not compared"
    subject = finding.subject
    maps = f"the maps of {subject['model']}"
    where = f"Between {subject['smallest']} and {subject['largest']} px"
    normalised = _values(finding, "normalised")
    if normalised:
        kept = _range([100 * value for value in normalised], 0)
        return f"{where} {maps} keep {kept} % of what two seeds share"
    if finding.state != "one seed":
        return f"{where} {maps} cannot be compared: two seeds agree no more than two images"
    raw = _range(_values(finding, "same_seed"), 2)
    return f"{where} {maps} agree to {raw}; one seed leaves open how well they could"


def _values(finding: Finding, name: str) -> list[float]:
    """Return a number of every part that has it."""
    return [part.numbers[name].value for part in finding.parts if name in part.numbers]


def _range(values: Sequence[float], digits: int) -> str:
    """Return `30 to 42`, or one number when both ends read the same."""
    ends = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    # Ends that read the same are written once.
    return " to ".join(dict.fromkeys(ends)).replace("-", MINUS)


def localisation_sentence(finding: Finding) -> str:
    """Return how much of the relevance lies on the object at both ends of the sweep."""
    area = format_number(finding.numbers["object_area"].value)
    return (
        f"Share of the positive relevance of {finding.subject['model']} on the object, "
        f"relative to the best that its grid allows, {_px_range(finding)}: "
        f"{_by_method(finding, '.2f')}. "
        f"The object covers {area} of the image."
    )


def _px_range(finding: Finding) -> str:
    """Return `24 to 96 px`."""
    ends = (str(finding.subject["smallest"]), str(finding.subject["largest"]))
    return f"{' to '.join(dict.fromkeys(ends))} px"


def _by_method(finding: Finding, form: str) -> str:
    """Return `Grad-CAM 0.56 to 0.73, edge filter 0.34 to 0.50`."""
    names = ["smallest"]
    if finding.subject["smallest"] != finding.subject["largest"]:
        names.append("largest")
    texts = []
    for part in finding.parts:
        values = " to ".join(f"{part.numbers[name].value:{form}}" for name in names)
        texts.append(f"{map_name(part.subject['method'])} {values}")
    # Only after a space: a hyphen inside the name of a method stays.
    return ", ".join(texts).replace(" -", f" {MINUS}")


def contrast_sentence(finding: Finding) -> str:
    """Return where relevance follows the stripes that survive."""
    subject = finding.subject
    text = (
        "Relevance on medium minus relevance on fine objects, mean over methods: "
        f"{_signed(finding, 'methods')}"
    )
    # The edge filter is the control: what it shows as well needs no network.
    if "edge" in finding.parts[0].numbers:
        text += f". Of an edge filter, which does not use the model: {_signed(finding, 'edge')}"
    if not subject["followed_at"]:
        return f"{text}. At no resolution do all methods show a difference."
    where = join_names(subject["followed_at"])
    text += f". At {where} px the evidence follows the stripes that survive"
    if subject["edges_at"]:
        text += (
            f", but at {join_names(subject['edges_at'])} px so do edges: "
            "the images alone could put it there"
        )
    return f"{text}."


def _signed(finding: Finding, name: str) -> str:
    """Return `+0.10 at 24 px, -0.03 at 48 px`."""
    values = []
    for part in finding.parts:
        # Adding 0 turns -0.0 into 0.0, which would read as a negative difference.
        difference = round(part.numbers[name].value, 2) + 0
        values.append(f"{difference:+.2f} at {part.subject['resolution']} px")
    return ", ".join(values).replace("-", MINUS)


def localisation_title(finding: Finding, contrast: Finding | None) -> str:
    """Return whether the evidence follows the cue, or how much of it lies on the object."""
    if finding.state == "unknown":
        return "No map was compared with a mask"
    # Following the cue is the stronger claim, so it takes the title where it stands.
    if contrast is not None and contrast.state != "not shown":
        subject = contrast.subject
        first, *others = subject["methods"]
        who = "every method" if others else method_name(first)
        where = join_names(subject["followed_at"])
        edges = ", as an edge filter's does" if contrast.state == "edges too" else ""
        return (
            f"At {where} px the evidence lies on the medium stripes, "
            f"not on the fine ones, by {who}{edges}"
        )
    relevance = 100 * finding.numbers["relevance_at_largest"].value
    area = 100 * finding.numbers["area_at_largest"].value
    return (
        f"At {finding.subject['largest']} px {relevance:.0f} % of the relevance lies on the "
        f"object, which covers {area:.0f} % of the image"
    )


def faithfulness_sentence(finding: Finding) -> str:
    """Return the gain of each method over a random order at both ends of the sweep."""
    side = finding.subject["cells_per_side"]
    return (
        f"Insertion minus deletion of {finding.subject['model']}, relative to a random order "
        f"({format_count(side, 'cell')} per side, {_px_range(finding)}): "
        f"{_by_method(finding, '+.2f')}."
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


def intervention_sentence(finding: Finding, confidence: float) -> str:
    """Return how many predictions follow what was changed, at both ends of the sweep."""
    subject, numbers = finding.subject, finding.numbers
    text = f"{format_share(numbers['smallest'], confidence)} at {subject['smallest']} px"
    if subject["largest"] != subject["smallest"]:
        text += f" and {format_share(numbers['largest'])} at {subject['largest']} px"
    return (
        f"{sentence_case(INTERVENTIONS[subject['kind']])}, {text} of the predictions of "
        f"{subject['model']} follow the change; by chance half of them do."
    )


def alarm_sentence(finding: Finding, confidence: float) -> str:
    """Return the alarm "evidence off the object", and what interventions show."""
    subject, numbers = finding.subject, finding.numbers
    share = format_estimate(numbers["share"], confidence=confidence, show_n=True)
    noun = agree(len(subject["images"]), "image", "images")
    return (
        f"Evidence off the object: {cell_name(subject)} predicts {_group_images(subject)} "
        f"correctly (accuracy {numbers['accuracy'].value:.2f}), "
        f"but with {share} of its evidence on the object, "
        "where 0 is chance and 1 all that the grids allow. "
        f"See test {noun} {join_names(subject['images'])}. {_judgement(finding)}"
    )


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
    shares = [
        f"{INTERVENTIONS[part.subject['kind']]}, "
        f"{format_share(part.numbers['follows_rest'])} of the predictions follow the change"
        for part in finding.parts
    ]
    return f"The exchange {judged}: {'; '.join(shares)}."


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
