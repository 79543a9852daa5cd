"""The knee: a bracket in which accuracy comes within the margin of the best resolution."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from resomap.analysis.decision.contrasts import Contrasts


class Knee(NamedTuple):
    """The bracket (lower, upper], px, of the smallest resolution within the margin of the best.

    `lower` is the largest resolution such that it and all below are shown to be worse, None
    when the smallest is not. `upper` is the smallest one that is shown to be within, else the
    largest of the sweep. `censored` is what the sweep leaves open: `below` when its smallest
    resolution is within the margin, `above` when none below its largest is shown to be, `both`
    when it has one resolution.
    """

    lower: int | None
    upper: int
    best: int
    censored: str


def find_knee(
    contrasts: Contrasts, resolutions: Sequence[int], margin: float, confidence: float
) -> Knee:
    """Bracket the knee of cells at ascending resolutions; need not be monotone.

    Both ends hold at once with `confidence`.
    """
    best = resolutions[int(contrasts.means.argmax())]
    if len(resolutions) == 1:
        return Knee(None, best, best, "both")
    # Each end has half of the error, shared by the resolutions: any of them may be the end, and
    # any may be the best.
    error = (1 - confidence) / 2 / (len(resolutions) - 1)
    half = contrasts.half_widths(error)
    np.fill_diagonal(half, 0.0)
    worse = (contrasts.differences + half < -margin).any(axis=1)
    within = (contrasts.differences - half >= -margin).all(axis=1)
    upper = next((px for px, shown in zip(resolutions, within, strict=True) if shown), None)
    lower = None
    # No monotone fit: a resolution above one that may be within the margin bounds nothing.
    for px, shown in zip(resolutions, worse, strict=True):
        if not shown:
            break
        lower = px
    return Knee(lower, upper or resolutions[-1], best, _censored(resolutions, upper))


def _censored(resolutions: Sequence[int], upper: int | None) -> str:
    """Return which end of the sweep hides the knee."""
    if upper == resolutions[0]:
        return "below"
    return "above" if upper in (None, resolutions[-1]) else ""
