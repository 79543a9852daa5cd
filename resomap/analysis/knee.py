"""Where accuracy stops growing with resolution: a bracket between resolutions that were run, never a fitted point."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from resomap.analysis.statistics import Pool, difference_interval


class Knee(NamedTuple):
    """Accuracy first lies within the margin of the best at some resolution in (lower, upper], px.

    `lower` is the largest resolution below `upper` that is shown to be worse, None where none is. `censored` says what the sweep does not
    show: `below` when its smallest resolution already lies within the margin, `above` when only its largest does, `both` when it has one.
    """

    lower: int | None
    upper: int
    best: int
    censored: str


def find_knee(
    curve: Mapping[int, np.ndarray], margin: float, confidence: float, pool: Pool | None = None
) -> Knee:
    """Bracket the knee of a model's right answers (seeds, pictures) by resolution; the curve need not be monotone.

    Within: the lower end of the one-sided interval of the paired difference to the best is above -margin; worse: the upper end is below it.
    """
    best = max(sorted(curve), key=lambda resolution: float(curve[resolution].mean()))
    two_sided = 2 * confidence - 1
    differences = {
        r: difference_interval(curve[r], curve[best], two_sided, pool)
        for r in sorted(curve)
        if r != best
    }
    upper = min(
        [r for r, difference in differences.items() if difference.low >= -margin] + [best]
    )
    worse = [
        r for r, difference in differences.items() if r < upper and difference.high < -margin
    ]
    return Knee(max(worse, default=None), upper, best, _censored(sorted(curve), upper))


def _censored(resolutions: list[int], upper: int) -> str:
    ends = {
        (True, True): "both",
        (True, False): "below",
        (False, True): "above",
        (False, False): "",
    }
    return ends[upper == resolutions[0], upper == resolutions[-1]]


def differences_to_best(curve: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """The differences (seeds, pictures) that `find_knee` looks at, for pooling their spread over models."""
    best = max(sorted(curve), key=lambda resolution: float(curve[resolution].mean()))
    return [
        curve[resolution].astype(float) - curve[best]
        for resolution in curve
        if resolution != best
    ]
