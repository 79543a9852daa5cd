"""Whether a map depends on what the network has learnt: its top is drawn anew, and the maps are compared (Adebayo et al. 2018)."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn

from resomap.explain.agreement.measures import correlation, ranks
from resomap.workflow.layout import table_columns

SANITY_COLUMNS = table_columns("run_sanity")
SHIFTS = 3
"""With how many other pictures' maps each map is compared for the floor."""
Explainer = Callable[[nn.Module], np.ndarray]
"""From a network to its signed maps (n, h, w), always of the same pictures and the same classes."""


def compute_sanity(
    model: nn.Module,
    explainers: Mapping[str, Explainer],
    trained: Mapping[str, np.ndarray],
    fresh: Callable[[int], nn.Module],
    names: Sequence[str],
    draws: int,
) -> list[dict[str, Any]]:
    """Rows of COLUMNS, one a draw and method: how alike the maps of `model` and of a copy with its modules `names` drawn anew are.

    `explainers` explain any network; `trained` are their maps of `model`; `fresh` builds a network from a seed. `correlation` is the mean
    signed rank correlation over the `n` pictures whose trained map is not constant; a constant map of the copy counts as 0, as it has kept
    nothing. `floor` is the same for trained maps of different pictures. Both are NaN where there is nothing to compare. Signed, because
    magnitudes stay alike for trivial reasons: where activations are large, they are large under any weights above them.
    """
    orders = {method: _telling(ranks(maps)) for method, maps in trained.items()}
    rows = []
    for draw in range(draws):
        twin = randomise(model, fresh(draw), names)
        for method, explain in explainers.items():
            places, order = orders[method]
            kept = np.nan_to_num(correlation(order, ranks(explain(twin))[places]))
            rows.append(
                {
                    "method": method,
                    "draw": draw,
                    "correlation": _mean(kept),
                    "floor": _floor(order),
                    "n": len(order),
                }
            )
    return rows


def randomise(model: nn.Module, fresh: nn.Module, names: Sequence[str]) -> nn.Module:
    """A copy of `model` whose modules `names` have the weights and buffers of `fresh`, a network of the same architecture."""
    twin = copy.deepcopy(model)
    for name in names:
        twin.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
    return twin


def _telling(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which maps say something, and their ranks: those of a constant map are NaN."""
    places = np.flatnonzero(~np.isnan(order[:, 0]))
    return places, order[places]


def _floor(order: np.ndarray) -> float:
    shifts = range(1, min(SHIFTS + 1, len(order)))
    return _mean(
        np.array([correlation(order, np.roll(order, shift, axis=0)) for shift in shifts])
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else np.nan
