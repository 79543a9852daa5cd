"""The knee: a bracket in which accuracy stops growing with resolution."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from resomap.analysis.statistics import Pool, difference_interval


class Knee(NamedTuple):
    """The bracket (lower, upper], px, in which accuracy comes within the margin of the best.

    `lower` is the largest resolution below `upper` that is shown to be worse, None when there
    is none. `censored` is what the sweep leaves open: `below` when its smallest resolution
    already lies within the margin, `above` when only its largest does, `both` when it has one
    resolution.
    """

    lower: int | None
    upper: int
    best: int
    censored: str


def find_knee(
    curve: Mapping[int, np.ndarray], margin: float, confidence: float, pool: Pool | None = None
) -> Knee:
    """Bracket the knee of correctness (seeds, images) by resolution; need not be monotone.

    A resolution is within the margin when the one-sided interval of its paired difference to
    the best lies above -margin, and worse when it lies below.
    """
    best = best_resolution(curve)
    # The central interval of confidence 2c - 1 has one-sided ends of confidence c.
    two_sided = 2 * confidence - 1
    upper, worse = best, []
    for px in sorted(curve, reverse=True):
        if px == best:
            continue
        difference = difference_interval(curve[px], curve[best], two_sided, pool)
        # No monotone fit: accuracy need not grow with resolution, and a bracket needs no model.
        if difference.low >= -margin:
            upper = min(upper, px)
        if difference.high < -margin:
            worse.append(px)
    # Both ends are resolutions that were run: nothing is known in between.
    lower = max((px for px in worse if px < upper), default=None)
    return Knee(lower, upper, best, _censored(sorted(curve), upper))


def best_resolution(curve: Mapping[int, np.ndarray]) -> int:
    """Return the resolution with the highest mean, the smallest of equal ones."""
    return max(sorted(curve), key=lambda px: float(curve[px].mean()))


def _censored(resolutions: list[int], upper: int) -> str:
    """Return which end of the sweep hides the knee."""
    if len(resolutions) == 1:
        return "both"
    if upper == resolutions[0]:
        return "below"
    return "above" if upper == resolutions[-1] else ""


def differences_to_best(curve: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """Return the differences (seeds, images) that `find_knee` tests, to pool their spread."""
    best = best_resolution(curve)
    return [curve[px].astype(float) - curve[best] for px in curve if px != best]
