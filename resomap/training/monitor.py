"""Which value is watched, and when it is better."""

import math
from collections.abc import Mapping
from typing import Literal

from resomap.errors import ConfigError

Mode = Literal["min", "max"]


def is_better(value: float, best: float | None, mode: Mode, min_delta: float = 0.0) -> bool:
    """Whether `value` beats `best` by more than `min_delta`; NaN never does, and anything else beats None."""
    if math.isnan(value):
        return False
    if best is None:
        return True
    return best - value > min_delta if mode == "min" else value - best > min_delta


def read_metric(metrics: Mapping[str, float], name: str) -> float:
    """The metric called `name`; `val_x` reads `x` where only that is there. ConfigError lists what is."""
    for key in (name, name.removeprefix("val_")):
        if key in metrics:
            return float(metrics[key])
    raise ConfigError(f"no metric is called {name!r}; there are {', '.join(metrics)}")
