"""What other preprocessings than that of the training cost, and which one unknown input had.

The start is an image as it is stored. Of every alternative one thing differs from the training:
the resize, the decoder of the file, the order of the colours or the normalisation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from resomap.analysis.statistics import Interval, difference_interval
from resomap.deploy.alternatives import (
    COLOUR_ORDERS,
    DECODERS,
    NORMALISATIONS,
    decode_jpegs,
    encode_jpegs,
    missing_libraries,
    normalise_by,
    resize_methods,
)
from resomap.deploy.preprocessing import Preprocessing

CHUNK = 64  # images in memory at a time, in every alternative
REFERENCE = "as trained"
FIRST_DECODER = next(iter(DECODERS))
SAME = ("reference", "same filter", "decoder")
"""Kinds of alternatives that mean to do what the training did."""
# A distance is relative to the values of the input. Libraries that mean the same differ by
# rounding, 0.005; the smallest mistakes by several times as much.
ALIKE = 0.01

Predictor = Callable[[np.ndarray], np.ndarray]
"""A network: float32 (N, 3, r, r) to logits (N, classes)."""


class Alternative(NamedTuple):
    """One other preprocessing: its name, what differs, and the names of its stages."""

    name: str
    kind: str
    resize: str = REFERENCE
    colours: str = "RGB"
    normalisation: str = REFERENCE
    decoder: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def baseline(self) -> str:
        """Name of the alternative that it is compared with."""
        # A decoder is compared on the same file: what compression loses is not its fault.
        decoded = self.decoder not in (None, FIRST_DECODER)
        return FIRST_DECODER if decoded else REFERENCE


@dataclass(frozen=True)
class PreprocessingCost:
    """What one alternative changes in the answers of networks (seeds) on images.

    `flips` is the share of answers that differ from the baseline's, `lost` the accuracy that
    goes with them. `skipped` is why nothing was measured.
    """

    resolution: int
    name: str
    kind: str
    baseline: str
    seeds: int
    images: int
    flips: float = 0.0
    lost: Interval | None = None
    max_logit_difference: float = 0.0
    skipped: str | None = None

    def as_row(self) -> dict[str, Any]:
        """Return a row of a table; shares and accuracies are in [0, 1]."""
        row = asdict(replace(self, lost=None))
        del row["lost"]
        interval = self.lost or Interval(0.0, 0.0, 0.0, "")
        return row | interval.columns("lost") | {"interval": interval.method}

    def as_table_row(self) -> dict[str, Any]:
        """Return the row of preprocessing_parity.csv, without its cell; blanks where skipped."""
        row: dict[str, Any] = {
            "eval_resolution": self.resolution,
            "preprocessing": self.name,
            "kind": self.kind,
            "baseline": self.baseline,
            "n_seeds": self.seeds,
            "n": self.images,
            "judged": self.kind in SAME,
            "skipped": self.skipped,
        }
        if self.lost is None:
            return row
        measured = {"flipped": self.flips, "max_logit_difference": self.max_logit_difference}
        interval = {"interval": self.lost.method}
        return row | measured | self.lost.columns("accuracy_lost") | interval


@dataclass(frozen=True)
class NativeImages:
    """Images of the store at native resolution; those of a slice are read when it is an array."""

    native: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: Any) -> Any:
        return NativeImages(self.native, self.rows[part])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.native[self.rows]


def list_alternatives(preprocessing: Preprocessing) -> list[Alternative]:
    """List every alternative to a preprocessing; the first one is the preprocessing itself."""
    found = [Alternative(REFERENCE, "reference")]
    for name, method in resize_methods(preprocessing.filter).items():
        if name != f"Pillow {preprocessing.filter}":
            differs = method.kind(preprocessing)
            found.append(Alternative(name, differs, resize=name, needs=method.needs))
    for name, (_, needs) in DECODERS.items():
        kind = "compression" if name == FIRST_DECODER else "decoder"
        found.append(Alternative(name, kind, decoder=name, needs=needs))
    found.append(Alternative("BGR for RGB", "colour order", colours="BGR"))
    for name in _other_normalisations(preprocessing):
        found.append(Alternative(f"normalisation {name}", "normalisation", normalisation=name))
    return found


def _other_normalisations(preprocessing: Preprocessing) -> Iterator[str]:
    own = np.array([preprocessing.mean, preprocessing.std])
    for name, values in NORMALISATIONS.items():
        if not np.allclose(own, values, rtol=0, atol=1e-3):
            yield name


def apply_alternative(
    alternative: Alternative, images: np.ndarray, preprocessing: Preprocessing
) -> np.ndarray:
    """Return the network's input by an alternative, of stored images: float32 (N, 3, r, r)."""
    if alternative.decoder:
        images = decode_jpegs(encode_jpegs(images), alternative.decoder)
    resized = _resize(alternative.resize, images, preprocessing)
    coloured = resized[..., COLOUR_ORDERS[alternative.colours]]
    return _normalise(alternative.normalisation, coloured, preprocessing)


def _resize(name: str, images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    if name == REFERENCE:
        return preprocessing.resize(images)
    method = resize_methods(preprocessing.filter)[name]
    return method.apply(images, preprocessing.resolution)


def _normalise(name: str, images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    if name != REFERENCE:
        return normalise_by(images, *NORMALISATIONS[name])
    if images.dtype == np.uint8:
        return preprocessing.normalise(images)
    return normalise_by(images, preprocessing.mean, preprocessing.std)


def measure_preprocessing(
    images: np.ndarray | NativeImages,
    labels: np.ndarray,
    preprocessing: Preprocessing,
    networks: Sequence[Predictor],
    confidence: float,
) -> list[PreprocessingCost]:
    """Measure every alternative by the answers of `networks`, one per seed.

    `images` are stored ones, uint8 (N, n, n, 3). An alternative whose library is not installed
    is listed with the reason.
    """
    alternatives, usable = list_alternatives(preprocessing), []
    for alternative in alternatives:
        if not missing_libraries(alternative.needs):
            usable.append(alternative)
    logits = _predict(images, preprocessing, networks, usable)
    results = []
    for alternative in alternatives:
        result = PreprocessingCost(
            resolution=preprocessing.resolution,
            name=alternative.name,
            kind=alternative.kind,
            baseline=alternative.baseline,
            seeds=len(networks),
            images=len(images),
        )
        missing = missing_libraries(alternative.needs)
        if missing:
            result = replace(result, skipped=f"{', '.join(missing)} not installed")
        else:
            own, baseline = logits[alternative.name], logits[alternative.baseline]
            result = _compare(result, own, baseline, labels, confidence)
        results.append(result)
    return results


def _predict(
    images: np.ndarray | NativeImages,
    preprocessing: Preprocessing,
    networks: Sequence[Predictor],
    alternatives: Sequence[Alternative],
) -> dict[str, np.ndarray]:
    """Return the logits (seeds, N, classes) of each alternative, a few images at a time."""
    parts: dict[str, list[np.ndarray]] = {each.name: [] for each in alternatives}
    for start in range(0, len(images), CHUNK):
        # Copied: the images may be mapped from a file, read-only, which torch warns about.
        chunk = np.array(images[start : start + CHUNK])
        for alternative in alternatives:
            batch = apply_alternative(alternative, chunk, preprocessing)
            answers = [network(batch) for network in networks]
            parts[alternative.name].append(np.stack(answers))
    return {name: np.concatenate(own, axis=1) for name, own in parts.items()}


def _compare(
    result: PreprocessingCost,
    logits: np.ndarray,
    baseline: np.ndarray,
    labels: np.ndarray,
    confidence: float,
) -> PreprocessingCost:
    answers, expected = logits.argmax(axis=-1), baseline.argmax(axis=-1)
    # Of NaN, argmax is the first one, the same on both sides.
    changed = (answers != expected) | np.isnan(logits).any(axis=-1)
    return replace(
        result,
        flips=float(changed.mean()),
        lost=difference_interval(expected == labels, answers == labels, confidence),
        max_logit_difference=float(np.abs(logits - baseline).max()),
    )


def exceeding(
    results: Sequence[PreprocessingCost], max_flips: float, names: Sequence[str] = ()
) -> list[PreprocessingCost]:
    """Return the results with a larger share of flips than `max_flips`.

    They are those called `names`; without names, all that mean to do what the training did.
    """
    judged = [each for each in results if _is_judged(each, names)]
    return [each for each in judged if each.skipped is None and each.flips > max_flips]


def _is_judged(result: PreprocessingCost, names: Sequence[str]) -> bool:
    return result.name in names if names else result.kind in SAME


@dataclass(frozen=True)
class PreprocessingName:
    """The known preprocessing that is closest to some input, and how close it is.

    `distance` is relative to the size of the input's values: 0 for equality. `kinds` are what
    differs from the training. `also` are other resizes that cannot be told apart from this one.
    """

    resize: str
    colours: str
    normalisation: str
    kinds: tuple[str, ...]
    distance: float
    also: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Return whether the input equals that preprocessing, up to rounding."""
        return self.distance <= ALIKE

    @property
    def matches(self) -> bool:
        """Return whether the input is that of the training, up to rounding."""
        return self.known and not set(self.kinds) - set(SAME)

    def __str__(self) -> str:
        if self.known and not self.kinds:
            return "the preprocessing of the training"
        also = f", as {', '.join(self.also)}" if self.also else ""
        stages = f"resize {self.resize}{also}; {self.colours}; {self.normalisation}"
        closeness = "it is" if self.known else "unknown; the closest known one is"
        differs = ", ".join(self.kinds) or "as trained"
        return f"{closeness}: {differs} ({stages}; distance {self.distance:.2g})"


@dataclass(frozen=True)
class Reference:
    """Stored images, uint8 (N, n, n, 3), and the preprocessing that the training gave them."""

    images: np.ndarray
    preprocessing: Preprocessing


def name_preprocessing(images_as_input: np.ndarray, reference: Reference) -> PreprocessingName:
    """Return which known preprocessing made `images_as_input` of the images of `reference`.

    `images_as_input` is what a network was given: float (N, 3, r, r). Every known resize, order
    of colours and normalisation is tried, in every combination.
    """
    preprocessing = reference.preprocessing
    expected = (len(reference.images), 3, preprocessing.resolution, preprocessing.resolution)
    if images_as_input.shape != expected:
        raise ValueError(f"expected input of shape {expected}, found {images_as_input.shape}")
    resizes = _known_resizes(preprocessing)
    orders = [REFERENCE, *_other_normalisations(preprocessing)]
    distances: dict[tuple[str, str, str], float] = {}
    for resize in resizes:
        resized = _resize(resize, reference.images, preprocessing)
        for colours, normalisation in product(COLOUR_ORDERS, orders):
            made = _normalise(
                normalisation, resized[..., COLOUR_ORDERS[colours]], preprocessing
            )
            distances[resize, colours, normalisation] = _distance(images_as_input, made)
    # The first of equals: the resize of the training comes first.
    name, colours, normalisation = min(distances, key=distances.__getitem__)
    distance, also = distances[name, colours, normalisation], []
    for each in resizes:
        if each != name and distances[each, colours, normalisation] <= distance + ALIKE / 2:
            also.append(each)
    kinds = (
        (name != REFERENCE, resizes[name]),
        (colours != "RGB", "colour order"),
        (normalisation != REFERENCE, "normalisation"),
    )
    differs = tuple(kind for applies, kind in kinds if applies)
    return PreprocessingName(name, colours, normalisation, differs, distance, tuple(also))


def _known_resizes(preprocessing: Preprocessing) -> dict[str, str]:
    """Return the kind of every resize whose library is installed."""
    known = {REFERENCE: "reference"}
    for each in list_alternatives(preprocessing):
        if each.resize != REFERENCE and not missing_libraries(each.needs):
            known[each.resize] = each.kind
    return known


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance of two inputs, relative to the larger one."""
    largest = max(np.linalg.norm(first), np.linalg.norm(second))
    return float(np.linalg.norm(first - second) / largest) if largest else 0.0
