"""What a precision costs: how often the answers agree, and the accuracy lost, with interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from resomap.analysis.statistics import Interval, difference_interval


@dataclass(frozen=True)
class PrecisionLoss:
    """A network in a lower precision against itself in float32, on the same test images.

    `agreement` is the share of images with the same predicted class, `lost` the accuracy in
    float32 minus that in the lower precision. Both are means over `seeds` networks.
    """

    agreement: float
    lost: Interval
    seeds: int
    images: int

    def is_certified(self, margin: float) -> bool:
        """Return whether the network is shown to lose less than `margin` of accuracy."""
        return self.lost.high < margin

    def columns(self) -> Mapping[str, Any]:
        """Return the values of a table row."""
        return {
            "agreement": self.agreement,
            **self.lost.columns("accuracy_lost"),
            "interval": self.lost.method,
            "n": self.images,
            "n_seeds": self.seeds,
        }


def measure_loss(
    labels: np.ndarray, reference: np.ndarray, lowered: np.ndarray, confidence: float
) -> PrecisionLoss:
    """Compare the logits of a lower precision with the reference's, both (seeds, N, classes).

    `labels` (N,) are the classes of the images. The interval is the paired one over seeds and
    images that the project uses for every difference of two networks.
    """
    expected, answered = reference.argmax(axis=2), lowered.argmax(axis=2)
    seeds, images = expected.shape
    interval = difference_interval(expected == labels, answered == labels, confidence)
    return PrecisionLoss(float((expected == answered).mean()), interval, seeds, images)
