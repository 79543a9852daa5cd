"""How often to save, and what failures cost a training: the arithmetic of Young and of Daly.

Everywhere in seconds: `save` is what one save takes (Daly's delta), `between` the mean time between failures that hit the
training (M), `restart` from a failure until it works again at its last save (R), `interval` the work between two saves (tau).
Failures come at random, with no memory.
"""

from math import exp, expm1, sqrt


def young_interval(save: float, between: float) -> float:
    """The interval that wastes least to first order, sqrt(2 save between).

    J. W. Young, A first order approximation to the optimum checkpoint interval, Communications of the ACM 17(9), 1974, 530-531.
    """
    return sqrt(2 * save * between)


def daly_interval(save: float, between: float) -> float:
    """The same to higher order; where a save takes twice the time between failures or more, that time itself.

    J. T. Daly, A higher order estimate of the optimum checkpoint interval for restart dumps, Future Generation Computer Systems
    22(3), 2006, 303-312, equation (37).
    """
    if save >= 2 * between:
        return between
    share = save / (2 * between)
    return young_interval(save, between) * (1 + sqrt(share) / 3 + share / 9) - save


def first_order_waste(interval: float, save: float, between: float) -> float:
    """What Young minimises: seconds spent on saving and on work done twice, for each second of work."""
    return save / interval + interval / (2 * between)


def expected_waste(interval: float, save: float, between: float, restart: float) -> float:
    """Seconds on the wall over seconds of work, less 1: saving, work done twice and restarts, which may fail themselves.

    Daly 2006, the complete model: M exp(R/M) (exp((tau + delta)/M) - 1) on the wall for each tau of work.
    """
    return between * exp(restart / between) * expm1((interval + save) / between) / interval - 1


def kept_interval(save: float, seconds: float, share: float) -> float:
    """The interval that training.autosave keeps: `seconds`, but never so short that saving takes more than `share` of the time."""
    return max(seconds, save / share)
