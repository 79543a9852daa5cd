"""Proof that an exported network answers as the network in PyTorch does, image by image."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from resomap.deploy.parting import Parting, find_parting
from resomap.deploy.runtimes.onnxruntime_sessions import RuntimeRefusal, run_file
from resomap.errors import DataError

RANDOM = (
    "in PyTorch it gives another answer each time: its forward pass draws random numbers in "
    "evaluation, too"
)
BATCH_DEPENDENT = "its answer to an image depends on the other images of the batch"
LOGIT_TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the range of all logits."""


@dataclass(frozen=True)
class LogitComparison:
    """The logits of two networks for the same images (N, classes).

    `differences` (N,) is the largest of each image relative to the range of all of the first
    network's logits; `flips` (N,) is where the predicted classes differ.
    """

    differences: np.ndarray
    flips: np.ndarray

    @property
    def beyond(self) -> np.ndarray:
        """Return for each image whether its class or a logit is not the same."""
        # Not `>`, which NaN would pass.
        return self.flips | ~(self.differences <= LOGIT_TOLERANCE)

    @property
    def agreement(self) -> float:
        """Return the share of images with the same predicted class."""
        return float(1 - self.flips.mean())


def compare_logits(reference: np.ndarray, others: np.ndarray) -> LogitComparison:
    """Compare the logits `others` with those of the reference; DataError without any image."""
    if reference.shape != others.shape or not len(reference):
        raise DataError(
            f"logits {others.shape} cannot be compared with logits {reference.shape}: "
            "both need the same images, at least 1"
        )
    span = float(np.ptp(reference)) or 1.0
    differences = np.abs(others.astype(float) - reference).max(axis=1) / span
    return LogitComparison(differences, reference.argmax(axis=1) != others.argmax(axis=1))


@dataclass(frozen=True)
class ParityFailure:
    """The image on which an exported network differs most, and where it first does.

    `row` counts the test images from 0, `source` is the file of the image. `images` of all
    `of_images` differ. `parting` is None where the layers agree one by one.
    """

    cell: str
    row: int
    source: str
    difference: float
    is_flip: bool
    images: int
    of_images: int
    parting: Parting | None
    unlocated: str = "All layers agree one by one: the optimisations of the runtime part them"

    def __str__(self) -> str:
        kind = "its class and its logits" if self.is_flip else "its logits"
        where = f"They first part at {self.parting}" if self.parting else self.unlocated
        return (
            f"{self.cell}: the exported network differs on {self.images} of {self.of_images} "
            f"test images, most on image {self.row} ({self.source}): {kind}, by "
            f"{self.difference:.1e} of their range (allowed: {LOGIT_TOLERANCE:g}).\n{where}.\n"
            "This network is not deployable."
        )


@dataclass(frozen=True)
class UnstableAnswers:
    """A network whose answers to the same image differ, exported or not."""

    cell: str
    cause: str

    def __str__(self) -> str:
        return f"{self.cell}: {self.cause}. This network is not deployable."


@dataclass(frozen=True)
class NetworkParity:
    """The logits of both networks for all test images; `failure` is None where they are equal."""

    reference: np.ndarray
    exported: np.ndarray
    comparison: LogitComparison
    failure: ParityFailure | UnstableAnswers | None

    def record(self) -> dict[str, Any]:
        """Return the numbers for a JSON record."""
        return {
            "images": len(self.reference),
            "flips": int(self.comparison.flips.sum()),
            "images_beyond_tolerance": int(self.comparison.beyond.sum()),
            "largest_difference": _finite(self.comparison.differences.max()),
            "tolerance": LOGIT_TOLERANCE,
            "deployable": self.failure is None,
            "failure": None if self.failure is None else str(self.failure),
        }


def _finite(value: float) -> float | None:
    # JSON has no NaN.
    return float(value) if np.isfinite(value) else None


def prove_parity(
    network: nn.Module,
    content: bytes,
    batches: Callable[[], Iterable[np.ndarray]],
    cell: str,
    sources: Sequence[str],
) -> NetworkParity:
    """Run both networks on all test images, and locate the first difference if there is one.

    `network` runs on the CPU in float32 and is changed into evaluation mode. `batches()` yields
    the normalised images (B, 3, r, r) in the order of `sources`. ParityFailure is a value and
    no exception: other cells go on.
    """
    reference = _compute_reference(network, batches())
    exported = run_file(content, batches())
    locate = partial(find_parting, network, content)
    parity = judge_logits(reference, exported, batches, cell, sources, locate)
    if parity.failure is not None:
        again = _compute_reference(network, batches())
        cause = RANDOM if compare_logits(reference, again).beyond.any() else ""
    else:
        alone = run_file(content, [next(iter(batches()))[:1]])
        logits = np.concatenate([alone, exported[1:]])
        cause = BATCH_DEPENDENT if compare_logits(exported, logits).beyond.any() else ""
    return replace(parity, failure=UnstableAnswers(cell, cause)) if cause else parity


def judge_logits(
    reference: np.ndarray,
    exported: np.ndarray,
    batches: Callable[[], Iterable[np.ndarray]],
    cell: str,
    sources: Sequence[str],
    locate: Callable[[np.ndarray], Parting | None],
) -> NetworkParity:
    """Compare the logits of both networks; `locate` finds where they part on an image (3, r, r)."""
    comparison = compare_logits(reference, exported)
    failure = None
    if comparison.beyond.any():
        row = _worst_row(comparison)
        failure = ParityFailure(
            cell=cell,
            row=row,
            source=sources[row],
            difference=float(comparison.differences[row]),
            is_flip=bool(comparison.flips[row]),
            images=int(comparison.beyond.sum()),
            of_images=len(reference),
            **_locate(locate, _find_image(batches(), row)),
        )
    return NetworkParity(reference, exported, comparison, failure)


def _locate(
    locate: Callable[[np.ndarray], Parting | None], image: np.ndarray
) -> dict[str, Any]:
    # A runtime that runs the network may yet refuse one whose inner values are read.
    try:
        return {"parting": locate(image)}
    except (RuntimeRefusal, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        return {"parting": None, "unlocated": f"Where they part was not found: {reason}"}


def _worst_row(comparison: LogitComparison) -> int:
    differences = np.where(np.isnan(comparison.differences), np.inf, comparison.differences)
    # Among the images that fail: a class can flip by less than another image's logits differ.
    return int(np.where(comparison.beyond, differences, -1.0).argmax())


@torch.inference_mode()
def _compute_reference(network: nn.Module, batches: Iterable[np.ndarray]) -> np.ndarray:
    network.eval()
    logits = [network(torch.from_numpy(images)).numpy() for images in batches]
    if not logits:
        raise DataError("there is no test image: an exported network cannot be proven")
    return np.concatenate(logits)


def _find_image(batches: Iterable[np.ndarray], row: int) -> np.ndarray:
    for images in batches:
        if row < len(images):
            return np.asarray(images[row])
        row -= len(images)
    raise IndexError(row)
