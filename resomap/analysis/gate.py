"""The sanity gate: whether a map forgets when the network does."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

TOLERATED = 0.1
"""Share of the way from its floor to itself that a map may keep."""
CONFIDENCE = 0.95


class Gate(NamedTuple):
    """What a method keeps of its maps, the low end of that, and whether it passes."""

    retained: float
    retained_low: float
    passed: bool


def gate(correlations: np.ndarray, floor: float) -> Gate:
    """Judge correlations (draws,), at least two, of a trained network's maps with those of the same network drawn anew in its last layers.

    `retained` is 0 where they are as alike as maps of different pictures (`floor`), 1 where nothing changed: Adebayo et al. (2018), on a
    scale that a method's own sameness does not move. `retained_low` is the low end of its one-sided 95 % t interval over the draws. A method
    fails where that is above a tenth: where it is shown to ignore what was learnt. Where nothing is known, or the maps of all pictures are
    one, the numbers are NaN and the method does not pass.
    """
    scale = 1 - floor if floor < 1 else math.nan
    retained = (float(correlations.mean()) - floor) / scale
    error = float(correlations.std(ddof=1)) / math.sqrt(len(correlations)) / scale
    low = retained - float(stdtrit(len(correlations) - 1, CONFIDENCE)) * error
    return Gate(retained, low, low <= TOLERATED)
