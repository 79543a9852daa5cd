"""The bundle: one folder with all that an application needs to run a chosen network.

model.onnx            the network, exported for one input size
preprocessing.json    how an image file becomes its input (`preprocessing`)
labels.txt            the class of each output, one a line
golden.npz            test images as stored and resized (uint8), and their logits
card.md               what it is, how good, and where its evidence fails
predict.py            classifies image files, and checks the golden images
measure.py, prove.py  measure latency on the machine that they run on
pack.json             what they read, as in a pack of one network (`pack`)
bundle.json           the sha256 of every file above
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resomap.deploy import measure, predict, prove
from resomap.deploy.alternatives import missing_libraries
from resomap.deploy.card import CardFacts, card_text
from resomap.deploy.preprocessing import FILE, Preprocessing, write_preprocessing
from resomap.errors import DataError
from resomap.system import files

MODEL_FILE, LABELS_FILE, GOLDEN_FILE, CARD_FILE = (
    *("model.onnx", "labels.txt", "golden.npz", "card.md"),
)
FINGERPRINTS_FILE = "bundle.json"
NUM_GOLDEN = 8
MAX_INT8_ERROR = 0.02
"""Largest difference of an int8 logit relative to the largest one: two of 127 steps and a half.

Rounding in another order moves a value by a step, and processors round in other orders."""


@dataclass(frozen=True)
class GoldenImages:
    """A few images as stored, uint8 (N, n, n, 3), and the logits (N, classes) of the network.

    The logits are those of the network that was trained: what runs elsewhere is compared with
    it, and not with its own export. In int8 they are those of the export, since a quantised
    network answers otherwise. A logit may differ by `max_error` of the largest one.
    """

    native: np.ndarray
    logits: np.ndarray
    max_error: float = predict.MAX_ERROR


def choose_golden(labels: np.ndarray, count: int = NUM_GOLDEN) -> np.ndarray:
    """Return the positions of up to `count` images, of as many classes as possible."""
    # The first of each class, then the second: the rank of an image within its class decides.
    rank = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = labels == label
        rank[members] = np.arange(members.sum())
    return np.sort(np.lexsort((labels, rank))[:count])


def write_bundle(
    folder: Path,
    *,
    model: Path,
    preprocessing: Preprocessing,
    classes: Sequence[str],
    golden: GoldenImages,
    facts: CardFacts,
) -> list[str]:
    """Write the bundle of the network `model` (.onnx) into `folder`; earlier files are replaced.

    Returns the names of its files, bundle.json aside. DataError where the model is missing, or the
    logits are not of these classes.
    """
    if not model.is_file():
        raise DataError(f"{model} is missing: export the network first")
    if golden.logits.shape != (len(golden.native), len(classes)):
        found = " x ".join(map(str, golden.logits.shape))
        raise DataError(
            f"{model}: logits of {found}, expected {len(golden.native)} x {len(classes)}: an image "
            "a row, a class a column"
        )
    with files.replacing(folder / MODEL_FILE) as temporary:
        shutil.copyfile(model, temporary)
    write_preprocessing(preprocessing, folder / FILE)
    files.write_text(folder / LABELS_FILE, "\n".join(classes))
    images = preprocessing.resize(golden.native)
    arrays = {"native": golden.native, "images": images, "logits": golden.logits}
    max_error = np.array(golden.max_error)
    files.write_arrays(folder / GOLDEN_FILE, **arrays, max_error=max_error)
    files.write_text(folder / CARD_FILE, card_text(facts, preprocessing))
    programs = [Path(str(module.__file__)) for module in (predict, measure, prove)]
    for program in programs:
        files.write_text(folder / program.name, program.read_text(encoding="utf-8"))
    names = [MODEL_FILE, FILE, LABELS_FILE, GOLDEN_FILE, CARD_FILE]
    names += [program.name for program in programs]
    write_fingerprints(folder, names)
    return names


def prove_bundle(folder: Path) -> list[str]:
    """Return what its network answers differently from its golden images; empty where nothing.

    Without ONNX Runtime nothing can be proven: DataError.
    """
    require_runtime()
    spec = predict.load_preprocessing(folder / FILE)
    try:
        return predict.check(predict.load_network(folder), folder / GOLDEN_FILE, spec)
    # The runtime has an exception of its own for each way in which a file is no network.
    except Exception as error:
        return [f"the runtime refuses it: {str(error).partition(chr(10))[0]}"]


def require_runtime() -> None:
    """Raise DataError where ONNX Runtime is not installed."""
    if missing_libraries(("onnxruntime",)):
        raise DataError(
            "onnxruntime is not installed, so that nothing proves the bundle: install with "
            "`pip install 'resomap[deploy]'`"
        )


def write_fingerprints(folder: Path, names: Sequence[str]) -> None:
    """Write the sha256 of the named files of a bundle, by which a changed one is recognised."""
    digests = {name: files.file_sha256(folder / name) for name in names}
    files.write_json(folder / FINGERPRINTS_FILE, digests)


def changed_files(folder: Path) -> list[str]:
    """Return the files of a bundle that are missing or not as they were written."""
    try:
        digests = json.loads((folder / FINGERPRINTS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [FINGERPRINTS_FILE]
    changed = []
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file() or files.file_sha256(path) != digest:
            changed.append(name)
    return changed
