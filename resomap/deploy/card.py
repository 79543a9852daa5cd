"""The card of a bundle: what a network is, how good, and where its evidence fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from resomap.deploy.preprocessing import Preprocessing
from resomap.text import (
    format_confidence,
    format_count,
    format_interval,
    format_percent,
    format_points,
)

MAX_LOSS = 0.05
"""Of accuracy, up to which a network holds at another size."""
UNKNOWN_LICENCE = "not recorded: look it up where the weights were published"


@dataclass(frozen=True)
class Score:
    """An accuracy with its interval, on so many images."""

    accuracy: float
    low: float
    high: float
    images: int


@dataclass(frozen=True)
class ClassScore:
    """The recall of one class."""

    name: str
    recall: float
    images: int


@dataclass(frozen=True)
class Int8Loss:
    """What int8 costs a cell: accuracy lost against fp32, with its paired interval."""

    lost: float
    low: float
    high: float
    agreement: float
    seeds: int
    images: int
    margin: float
    certified: bool

    def verdict(self) -> str:
        """Return whether int8 is shown to stay within the margin."""
        margin = format_points(self.margin)
        if self.certified:
            return f"int8 is certified: it is shown to lose less than {margin} of accuracy"
        return f"int8 is not certified: it is not shown to lose less than {margin} of accuracy"


@dataclass(frozen=True)
class CardFacts:
    """What the card of a network states.

    `by_resolution` holds the accuracy for images of other sizes than it was trained with, to
    compare with `trained_accuracy`, that of the network in training precision. `evidence` are
    the alarms of its explanations, `licence` that of the weights that the training started from
    (None where it is not known), `loss` what int8 costs (None in fp32).
    """

    cell: str
    seed: int
    score: Score
    confidence: float
    classes: Sequence[ClassScore]
    dataset: str
    recipe: Mapping[str, str]
    versions: Mapping[str, str]
    by_resolution: Mapping[int, float] = field(default_factory=dict)
    evidence: Sequence[str] | None = None
    start: str = "random"
    licence: str | None = None
    trained_accuracy: float | None = None
    loss: Int8Loss | None = None


def card_text(facts: CardFacts, preprocessing: Preprocessing) -> str:
    """Return card.md."""
    return "\n".join(_lines(facts, preprocessing)) + "\n"


def _lines(facts: CardFacts, preprocessing: Preprocessing) -> Iterator[str]:
    yield f"# {facts.cell}{', int8' if facts.loss else ''}"
    yield ""
    score = facts.score
    ends = f"{format_confidence(facts.confidence)} {format_interval(score.low, score.high, 3)}"
    yield (
        f"Classifies an image into {format_count(len(facts.classes), 'class')}. Accuracy "
        f"{score.accuracy:.3f} ({ends}) on {format_count(score.images, 'test image')} that were "
        f"not used for training or selection; this is the network of seed {facts.seed}."
    )
    yield from _baseline_lines(facts)
    if facts.loss is not None:
        yield from _section("Precision", _loss_lines(facts.loss, facts.confidence))
    yield from _section("Where it is weak", _weak_lines(facts))
    yield from _section("Sizes", _size_lines(facts, preprocessing))
    yield from _section("Evidence", _evidence_lines(facts))
    yield from _section("Input", _input_lines(preprocessing))
    yield from _section("Data and recipe", _recipe_lines(facts))
    yield from _section("Licence of the weights", [_licence_line(facts)])
    versions = [f"- {name} {version}" for name, version in sorted(facts.versions.items())]
    yield from _section("Versions", versions)


def _baseline_lines(facts: CardFacts) -> Iterator[str]:
    """Yield a warning where the network may be no better than one constant answer."""
    frequent = max((each.images for each in facts.classes), default=0)
    majority = frequent / max(facts.score.images, 1)
    if facts.score.low <= majority:
        yield ""
        yield (
            "**It is not shown to beat the majority class: always answering that scores "
            f"{majority:.3f}.**"
        )


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "", *lines)


def _loss_lines(loss: Int8Loss, confidence: float) -> list[str]:
    ends = format_interval(100 * loss.low, 100 * loss.high, 1)
    seeds, images = format_count(loss.seeds, "seed"), format_count(loss.images, "test image")
    return [
        f"Weights and activations are 8 bit. Against fp32 it loses {format_points(loss.lost)} of "
        f"accuracy (paired {format_confidence(confidence)} {ends}) over {seeds} and {images}; "
        f"{format_percent(loss.agreement)} of the answers agree.",
        "",
        f"**{loss.verdict()}.**",
    ]


def _weak_lines(facts: CardFacts) -> list[str]:
    """Return a line for each class below the mean recall, the weakest first."""
    mean = sum(each.recall for each in facts.classes) / max(len(facts.classes), 1)
    weak = [each for each in facts.classes if each.recall < mean]
    lines = []
    for each in sorted(weak, key=lambda scored: scored.recall)[:10]:
        images = format_count(each.images, "test image")
        lines.append(f"- {each.name}: {format_percent(each.recall)} of {images} are recognised")
    return lines or ["All classes are recognised equally well."]


def _size_lines(facts: CardFacts, preprocessing: Preprocessing) -> list[str]:
    side, limit = preprocessing.resolution, format_points(MAX_LOSS)
    lines = [f"The network takes {side} x {side} px; `predict.py` makes them of any image."]
    trained = facts.trained_accuracy
    expected = facts.score.accuracy if trained is None else trained
    if facts.by_resolution:
        network = "The trained network in fp32" if facts.loss else "The trained network"
        lines += ["", f"{network}, accuracy {expected:.3f}, with inputs of other sizes:", ""]
    for resolution, accuracy in sorted(facts.by_resolution.items()):
        lost = expected - accuracy
        verdict = f"fails: more than {limit} lower" if lost > MAX_LOSS else "holds"
        lines.append(f"- {resolution} px: accuracy {accuracy:.3f}, it {verdict}")
    return lines


def _evidence_lines(facts: CardFacts) -> list[str]:
    if facts.evidence is None:
        return [
            "Not examined: the sweep has no explanations of this network, or too few that can be "
            "judged."
        ]
    alarms = [f"- {alarm}" for alarm in facts.evidence]
    return alarms or ["No alarm: where it was examined, its evidence lies on the object."]


def _input_lines(preprocessing: Preprocessing) -> list[str]:
    sides = ", then to ".join(f"{side} px" for side in preprocessing.sides)
    return [
        f"RGB, upright by EXIF, {preprocessing.aspect}, resized by Pillow "
        f"({preprocessing.filter}, antialiased) to {sides}; (x / 255 - mean) / std with the mean "
        "and std of `preprocessing.json`. Any other preprocessing changes answers: "
        "`resomap parity` measures how many."
    ]


def _recipe_lines(facts: CardFacts) -> list[str]:
    recipe = [f"- {key}: {value}" for key, value in facts.recipe.items()]
    return [f"- data: {facts.dataset}", *recipe]


def _licence_line(facts: CardFacts) -> str:
    if facts.start == "random":
        return "Yours: trained from random weights, on your data."
    return f"Started from {facts.start}; licence: {facts.licence or UNKNOWN_LICENCE}."
