"""Checkpoint intervals and the cost of failures, after Young and Daly.

All times are in seconds: `save` is the duration of one save (Daly's delta), `between` the mean
time between failures of a training (M), `restart` the time from a failure until it continues
from its last save (R), `interval` the work between two saves (tau). Failures are memoryless.
"""

from math import exp, expm1, sqrt


def young_interval(save: float, between: float) -> float:
    """Return the interval of least waste to first order, sqrt(2 save between).

    J. W. Young, A first order approximation to the optimum checkpoint interval, Communications
    of the ACM 17(9), 1974, 530-531.
    """
    return sqrt(2 * save * between)


def daly_interval(save: float, between: float) -> float:
    """Return the interval of least waste to higher order; `between` if a save takes twice that.

    J. T. Daly, A higher order estimate of the optimum checkpoint interval for restart dumps,
    Future Generation Computer Systems 22(3), 2006, 303-312, equation (37).
    """
    if save >= 2 * between:
        return between
    share = save / (2 * between)
    return young_interval(save, between) * (1 + sqrt(share) / 3 + share / 9) - save


def first_order_waste(interval: float, save: float, between: float) -> float:
    """Return seconds of saving and repeated work per second of work: what Young minimises."""
    return save / interval + interval / (2 * between)


def expected_waste(interval: float, save: float, between: float, restart: float) -> float:
    """Return wall time over work, less 1: saving, repeated work, and restarts, which may fail.

    Daly 2006, the complete model: M exp(R/M) (exp((tau + delta)/M) - 1) of wall time per tau.
    """
    return between * exp(restart / between) * expm1((interval + save) / between) / interval - 1


def actual_interval(save: float, seconds: float, max_share: float) -> float:
    """Return the interval of training.autosave: `seconds`, longer if saving exceeds a share."""
    return max(seconds, save / max_share)
