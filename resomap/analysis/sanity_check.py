"""The sanity check: does a map change when the last layers of the network are re-initialised?

A method whose maps hardly change fails in that cell. The report greys it out, and no finding
uses it.
"""

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

# Share of the way from its floor to itself that a map may retain.
MAX_RETAINED = 0.1
CONFIDENCE = 0.95
# Baselines that do not use the model. They are shown beside the methods and are not checked.
BASELINES = ("edge", "centre", "random")

# (model, resolution, method) of the methods that fail the sanity check in a cell.
FailedMethods = Collection[tuple[str, int, str]]


class SanityCheck(NamedTuple):
    """The share of its maps that a method retains, its lower end, and whether it passes."""

    retained: float
    retained_low: float
    passed: bool


def check_sanity(correlations: np.ndarray, floor: float) -> SanityCheck:
    """Check the correlations (draws,) of maps before and after re-initialisation.

    `retained` is 0 where they are as alike as maps of different images (`floor`), 1 where
    nothing changed. `retained_low` is the lower end of its one-sided 95 % t interval over the
    draws. A method fails when that end is above MAX_RETAINED: it is shown to ignore the
    weights. When the numbers are NaN, or the maps of all images are the same, it does not pass.
    """
    # Adebayo et al. (2018), but on a scale free of how alike the maps of a method are anyway.
    scale = 1 - floor if floor < 1 else math.nan
    retained = (float(correlations.mean()) - floor) / scale
    error = float(correlations.std(ddof=1)) / math.sqrt(len(correlations)) / scale
    # scipy.special's quantile avoids importing all of scipy.stats.
    low = retained - float(stdtrit(len(correlations) - 1, CONFIDENCE)) * error
    return SanityCheck(retained, low, low <= MAX_RETAINED)


def failed_methods(sanity: pd.DataFrame) -> set[tuple[str, int, str]]:
    """Return (model, resolution, method) where most runs fail, without baselines."""
    methods = sanity[~sanity["method"].isin(BASELINES)]
    keys = [methods[name] for name in ("model", "resolution", "method")]
    # A blank `passed` is neither a pass nor a failure.
    failed_share = (methods["passed"] == False).groupby(keys, sort=False).mean()  # noqa: E712
    # By majority: of several runs one may fail by chance.
    failed = failed_share.index[failed_share > 0.5]
    return {(str(model), int(resolution), str(method)) for model, resolution, method in failed}


def attribution_methods(rows: pd.DataFrame) -> list[str]:
    """Return the methods of a table in order of appearance, without the baselines."""
    return [method for method in dict.fromkeys(rows["method"]) if method not in BASELINES]


def drop_failed_methods(
    rows: pd.DataFrame, failed: FailedMethods, at: str = "resolution"
) -> pd.DataFrame:
    """Drop the rows of methods that fail the sanity check at the resolution in column `at`."""
    keys = zip(rows["model"], rows[at], rows["method"], strict=True)
    return rows[np.array([key not in failed for key in keys], bool)]


def failed_resolutions(
    failed: FailedMethods, models: Collection[str], method: str
) -> list[int]:
    """Return the resolutions, px, at which a method fails for any of the models."""
    found = {px for model, px, name in failed if name == method and model in models}
    return sorted(found)
