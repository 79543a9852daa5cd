"""Predict the class of images with the networks in this folder, of which the first one that is sure answers.

python cascade.py IMAGE...    one line per image: file, class, probability, network (tab-separated)
python cascade.py --check     prove that this machine answers as the training machine did

It needs numpy, Pillow, onnxruntime and the files beside it, predict.py among them.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

try:
    import numpy as np
    from PIL import Image
except ImportError as error:
    sys.exit(f"error: {error}: run `pip install numpy pillow onnxruntime`")

from resomap.deploy import predict


class OpenStage(NamedTuple):
    """A network, its preprocessing, and the probability from which its answer counts.

    Without a threshold its answer counts only if it is the last one.
    """

    folder: Path
    network: Any
    spec: dict[str, Any]
    threshold: float | None


class Answer(NamedTuple):
    """The index of a class, its probability, and the number of the network, from 1."""

    label: int
    probability: float
    number: int


def open_stages(folder: Path) -> list[OpenStage]:
    """Return the networks that cascade.json lists, in the order in which they are asked."""
    stages = []
    for each in json.loads((folder / "cascade.json").read_text(encoding="utf-8"))["stages"]:
        own = folder / each["folder"]
        spec = predict.load_preprocessing(own / "preprocessing.json")
        stages.append(OpenStage(own, predict.load_network(own), spec, each["threshold"]))
    return stages


def classify(source: Path | np.ndarray, stages: Sequence[OpenStage]) -> Answer:
    """Return the answer of the first network whose probability reaches its threshold.

    `source` is an image file, or an image as stored, uint8 (n, n, 3). It is resized anew for
    every network that sees it.
    """
    for number, stage in enumerate(stages, 1):
        if isinstance(source, Path):
            image = predict.decode(source, stage.spec)
        else:
            image = Image.fromarray(source)
        pixels = predict.resize(image, stage.spec)
        logits = predict.run(stage.network, pixels[None], stage.spec)[0]
        # In float64, as the thresholds were set.
        probability = float(1 / np.exp(logits - logits.max()).sum(dtype=np.float64))
        is_sure = stage.threshold is not None and probability >= stage.threshold
        if is_sure or number == len(stages):
            return Answer(int(logits.argmax()), probability, number)
    raise ValueError("cascade.json lists no network")


def check(folder: Path, stages: Sequence[OpenStage]) -> list[str]:
    """Return what differs from the recorded pixels, logits and decisions; empty where all agree."""
    problems = []
    for stage in stages:
        own = predict.check(stage.network, stage.folder / "golden.npz", stage.spec)
        problems += [f"{stage.folder.name}: {each}" for each in own]
    with np.load(folder / "golden.npz", allow_pickle=False) as stored:
        images, labels, numbers = stored["native"], stored["labels"], stored["numbers"]
    for row, image in enumerate(images):
        found = classify(image, stages)
        if (found.label, found.number) != (labels[row], numbers[row]):
            problems.append(
                f"image {row}: network {found.number} answers class {found.label}, expected "
                f"class {labels[row]} from network {numbers[row]}"
            )
    return problems


def main(arguments: Sequence[str]) -> int:
    """Classify the files in `arguments`, or check the bundle; return the exit code."""
    folder, problems = Path(__file__).resolve().parent, list[str]()
    stages = open_stages(folder)
    labels = (folder / "labels.txt").read_text(encoding="utf-8").split("\n")
    if "--check" in arguments:
        problems = check(folder, stages)
        print("failed" if problems else "pixels, logits and decisions are as recorded")
    for name in arguments if "--check" not in arguments else ():
        try:
            found = classify(Path(name), stages)
        except Exception as error:  # of any decoder; one bad image does not hide the others
            problems.append(f"{name}: {getattr(error, 'strerror', None) or error}")
            continue
        print(f"{name}\t{labels[found.label]}\t{found.probability:.4f}\t{found.number}")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]) if sys.argv[1:] else __doc__)
    except Exception as error:  # a file of the bundle or a package is missing or damaged
        sys.exit(f"error: {error}")
