"""The bundle of a cascade: a folder for each network, a threshold, and the program that asks them.

cascade.json          the networks in the order in which they are asked, and their thresholds
1/, 2/, ...           the bundle of each network (`bundle`)
golden.npz            test images, their answers, and the number of the network that gives them
labels.txt, card.md   as in the bundle of one network
cascade.py            classifies image files; predict.py beside it is what it imports
bundle.json           the sha256 of every file above
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resomap.analysis.statistics import Interval
from resomap.deploy import predict
from resomap.deploy.bundle import (
    CARD_FILE,
    GOLDEN_FILE,
    LABELS_FILE,
    require_runtime,
    write_fingerprints,
)
from resomap.deploy.cascades import cascade
from resomap.system import files
from resomap.text import (
    format_confidence,
    format_count,
    format_interval,
    format_milliseconds,
    format_percent,
    format_points,
)

CASCADE_FILE = "cascade.json"
IMPORT, IMPORT_IN_BUNDLE = "from resomap.deploy import predict", "import predict"


@dataclass(frozen=True)
class CascadeStage:
    """A network of a cascade: the probability from which it answers, and its latency, ms.

    The last one, and one that never answers, have no threshold.
    """

    name: str
    threshold: float | None
    latency_ms: float


@dataclass(frozen=True)
class CascadeFacts:
    """What the card of a cascade states, of one seed on the test images.

    `forwarded` is the share of images that the first network passes on, `difference` the
    accuracy less that of the last network alone, `verdict` that of tables/cascades.csv.
    """

    stages: Sequence[CascadeStage]
    seed: int
    images: int
    confidence: float
    accuracy: Interval
    forwarded: Interval
    difference: Interval
    mean_latency_ms: float
    verdict: str


@dataclass(frozen=True)
class GoldenDecisions:
    """Images as stored, uint8 (N, n, n, 3), their classes (N,), and which network answers (N,).

    Networks are counted from 1.
    """

    native: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray


def write_cascade(
    folder: Path,
    *,
    write_stages: Sequence[Callable[[Path], None]],
    classes: Sequence[str],
    golden: GoldenDecisions,
    facts: CascadeFacts,
) -> None:
    """Write the bundle of a cascade; `write_stages` write the bundle of each network."""
    listed, names = [], ["predict.py", "cascade.py"]
    for number, (write, stage) in enumerate(zip(write_stages, facts.stages, strict=True), 1):
        own = folder / str(number)
        write(own)
        listed.append({"folder": own.name, "network": stage.name, "threshold": stage.threshold})
        names += [f"{own.name}/{path.name}" for path in sorted(own.iterdir())]
    files.write_json(folder / CASCADE_FILE, {"schema": 1, "stages": listed})
    files.write_text(folder / LABELS_FILE, "\n".join(classes))
    arrays = {"native": golden.native, "labels": golden.labels, "numbers": golden.numbers}
    files.write_arrays(folder / GOLDEN_FILE, **arrays)
    files.write_text(folder / CARD_FILE, "\n".join(_card_lines(facts)) + "\n")
    for module in (predict, cascade):
        program = Path(str(module.__file__))
        text = program.read_text(encoding="utf-8")
        files.write_text(folder / program.name, text.replace(IMPORT, IMPORT_IN_BUNDLE))
    names += [CASCADE_FILE, LABELS_FILE, GOLDEN_FILE, CARD_FILE]
    write_fingerprints(folder, names)


def prove_cascade(folder: Path) -> list[str]:
    """Return what its networks and its decisions do otherwise than recorded; empty for nothing."""
    require_runtime()
    try:
        return cascade.check(folder, cascade.open_stages(folder))
    # The runtime has an exception of its own for each way in which a file is no network.
    except Exception as error:
        return [f"the runtime refuses it: {str(error).partition(chr(10))[0]}"]


def _card_lines(facts: CascadeFacts) -> Iterator[str]:
    names = " > ".join(stage.name for stage in facts.stages)
    confidence = format_confidence(facts.confidence)
    accuracy, share, difference = facts.accuracy, facts.forwarded, facts.difference
    lost = format_interval(100 * difference.low, 100 * difference.high, 1)
    yield from (f"# Cascade {names}", "")
    yield (
        "The first network classifies every image. Where the probability of its class is below "
        "its threshold, the next one does, on the same image at its own size."
    )
    yield ""
    yield (
        f"Accuracy {accuracy.mean:.3f} ({confidence} "
        f"{format_interval(accuracy.low, accuracy.high, 3)}) on "
        f"{format_count(facts.images, 'test image')} that were not used for training or "
        f"selection; these are the networks of seed {facts.seed}."
    )
    yield (
        f"The first network forwards {format_percent(share.mean)} of them ({confidence} "
        f"{format_interval(100 * share.low, 100 * share.high, 1)} %)."
    )
    yield (
        f"Against the last network alone the accuracy differs by "
        f"{format_points(difference.mean)} (paired {confidence} {lost})."
    )
    yield (
        f"Mean latency of a test image on the machine of the sweep: "
        f"{format_milliseconds(facts.mean_latency_ms)}, the last network alone: "
        f"{format_milliseconds(facts.stages[-1].latency_ms)}."
    )
    yield from ("", "## Networks", "")
    for number, stage in enumerate(facts.stages, 1):
        yield f"{number}. {stage.name}: {_describe_threshold(stage, number, facts)}"
    yield from ("", "What each network is, and where it is weak: `card.md` in its folder.", "")
    yield from ("## Verdict", "", VERDICTS[facts.verdict])


def _describe_threshold(stage: CascadeStage, number: int, facts: CascadeFacts) -> str:
    if number == len(facts.stages):
        return "answers what is left"
    if stage.threshold is None:
        return "never answers: it passes every image on"
    return f"answers from a probability of {stage.threshold:.4f} on, set on validation images"


VERDICTS = {
    "saves": "The sweep shows, over all its seeds, that it saves time at an accuracy within the "
    "margin of the last network's.",
    "open": "**Not shown**: over all seeds of the sweep it is not shown to save time at an "
    "accuracy within the margin of the last network's.",
    "nothing": "**It saves nothing**: on validation images it costs as much as the last network "
    "alone.",
}
