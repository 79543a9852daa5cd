"""Temperature scaling: one number that makes the probabilities of a network true on average."""

import math

import numpy as np
from scipy.optimize import minimize_scalar

from resomap.calibration import mean_log_loss

MAX_LOG_TEMPERATURE = math.log(100)
"""Where every validation image is predicted correctly, no temperature is the best one."""


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T for which logits / T have the least log loss; NaN if N is 0.

    Guo et al. 2017. T lies between 1/100 and 100.
    """
    if len(labels) == 0:
        return math.nan

    def loss(log_temperature: float) -> float:
        return mean_log_loss(logits / math.exp(log_temperature), labels)

    bounds = (-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE)
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x)
