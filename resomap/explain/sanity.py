"""The sanity check of parameter randomisation (Adebayo et al. 2018).

The last layers of a network are re-initialised. A method whose maps stay the same does not
depend on what the network has learned.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from resomap.explain.agreement.measures import correlation, ranks
from resomap.workflow.layout import table_columns

SANITY_COLUMNS = table_columns("run_sanity")
FLOOR_SHIFTS = 3  # other images that each map is compared with for the floor
MapFunction = Callable[[nn.Module], np.ndarray]
"""From a network to its signed maps (n, h, w), always of the same images and targets."""


def compute_sanity(
    model: nn.Module,
    map_functions: Mapping[str, MapFunction],
    trained: Mapping[str, np.ndarray],
    build: Callable[[int], nn.Module],
    module_names: Sequence[str],
    num_draws: int,
) -> list[dict[str, Any]]:
    """Compare the maps of `model` with those of copies whose `module_names` are re-initialised.

    `trained` holds the maps of `model` by method, and `build` returns an untrained network from
    a seed. Returns one row of SANITY_COLUMNS per draw and method:

    - `correlation`: mean signed rank correlation over the `n` images whose trained map is not
      constant. A constant map of the copy counts as 0.
    - `floor`: the same between trained maps of different images.

    Both are NaN where there is nothing to compare.
    """
    trained_ranks = {method: ranks(maps) for method, maps in trained.items()}
    rows = []
    for draw in range(num_draws):
        copied = reinitialise(model, build(draw), module_names)
        for method, compute_maps in map_functions.items():
            # A re-initialised head has random signs, so the correlation of maps that depend on
            # it averages to about 0 over the draws. Magnitudes would stay alike for a trivial
            # reason: large activations are large under any weights above them.
            new_ranks = ranks(compute_maps(copied))
            # Ranks of constant maps are NaN.
            varied = np.flatnonzero(~np.isnan(trained_ranks[method][:, 0]))
            order = trained_ranks[method][varied]
            kept = np.nan_to_num(correlation(order, new_ranks[varied]))
            row = {"method": method, "draw": draw, "correlation": _mean(kept)}
            rows.append({**row, "floor": _floor(order), "n": len(order)})
    return rows


def reinitialise(
    model: nn.Module, untrained: nn.Module, module_names: Sequence[str]
) -> nn.Module:
    """Return a copy of `model` whose named modules have the weights and buffers of `untrained`.

    Both networks have the same architecture.
    """
    copied = copy.deepcopy(model)
    for name in module_names:
        state = untrained.get_submodule(name).state_dict()
        copied.get_submodule(name).load_state_dict(state)
    return copied


def _floor(order: np.ndarray) -> float:
    """Return the mean correlation between the maps of different images."""
    shifts = range(1, min(FLOOR_SHIFTS + 1, len(order)))
    values = [correlation(order, np.roll(order, shift, axis=0)) for shift in shifts]
    return _mean(np.array(values))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan
