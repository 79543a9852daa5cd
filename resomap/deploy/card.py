"""The card of a bundle: what a network is, how good, and where its evidence fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from resomap.deploy.preprocessing import Preprocessing
from resomap.text import format_confidence, format_count, format_interval, format_percent

NOT_RECORDED = "not recorded"
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
class CardFacts:
    """What the card of a network states.

    `by_resolution` holds the accuracy for images of other sizes than it was trained with,
    `evidence` the alarms of its explanations, `licence` that of the weights that the training
    started from (None where it started from random ones).
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


def card_text(facts: CardFacts, preprocessing: Preprocessing) -> str:
    """Return card.md."""
    return "\n".join(_lines(facts, preprocessing)) + "\n"


def _lines(facts: CardFacts, preprocessing: Preprocessing) -> Iterator[str]:
    yield f"# {facts.cell}"
    yield ""
    score = facts.score
    ends = f"{format_confidence(facts.confidence)} {format_interval(score.low, score.high, 3)}"
    yield (
        f"Classifies an image into {format_count(len(facts.classes), 'class')}. Accuracy "
        f"{score.accuracy:.3f} ({ends}) on {format_count(score.images, 'test image')} that were "
        f"not used for training or selection; this is the network of seed {facts.seed}."
    )
    yield from _section("Where it is weak", _weak_lines(facts))
    yield from _section("Sizes", _size_lines(facts, preprocessing))
    yield from _section("Evidence", _evidence_lines(facts))
    yield from _section("Input", _input_lines(preprocessing))
    yield from _section("Data and recipe", _recipe_lines(facts))
    yield from _section("Licence of the weights", [_licence_line(facts)])
    versions = [f"- {name} {version}" for name, version in sorted(facts.versions.items())]
    yield from _section("Versions", versions)


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "", *lines)


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
    side = preprocessing.resolution
    lines = [f"The network takes {side} x {side} px; `predict.py` makes them of any image."]
    for resolution, accuracy in sorted(facts.by_resolution.items()):
        lost = facts.score.accuracy - accuracy
        verdict = "fails" if lost > 0.05 else "holds"
        lines.append(
            f"- given images of {resolution} px: accuracy {accuracy:.3f}, it {verdict}"
        )
    return lines


def _evidence_lines(facts: CardFacts) -> list[str]:
    if facts.evidence is None:
        return ["Not examined: the sweep has no explanations of this network."]
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
        return "Trained from random weights: the licence is that of your data and of this work."
    return f"Started from {facts.start}; licence: {facts.licence or UNKNOWN_LICENCE}."
