"""Rows of demand.csv: the resolution that each image needs.

The demand of an image is the smallest resolution of the sweep at which the network trained and
tested there predicts it correctly, as do those of the same seed at all larger resolutions.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from resomap.analysis.predictions import Cell, Predictions
from resomap.analysis.profiles import Row
from resomap.analysis.statistics import accuracy_interval

NEVER = 0


def demand_rows(
    test: Mapping[Cell, Predictions], manifest: dict[str, Any], confidence: float
) -> Iterator[Row]:
    """Yield a row per model, class (and all) and resolution: the share of images that need it."""
    for key in dict.fromkeys(cell[:2] for cell in test):
        own = [predictions for cell, predictions in test.items() if cell[:2] == key]
        demand = compute_demand(own)
        resolutions = sorted(predictions.cell.resolution for predictions in own)
        labels = own[0].labels
        groups = {None: np.ones(len(labels), bool)}
        groups |= {name: labels == index for index, name in enumerate(manifest["classes"])}
        for name, members in groups.items():
            if members.any() and len(demand):
                identity = {"family": key[0], "model": key[1], "class": name}
                rows = _shares(demand[:, members], resolutions, confidence)
                yield from (identity | row for row in rows)


def compute_demand(cells: list[Predictions]) -> np.ndarray:
    """Return the demand of each image (seeds, N) in px, `NEVER` where the largest is wrong.

    `cells` are those of one model; seeds that did not finish at every resolution are left out.
    """
    ladder = sorted(cells, key=lambda cell: cell.cell.resolution)
    common = sorted(set.intersection(*(set(cell.seeds) for cell in ladder)))
    rows = [[cell.seeds.index(seed) for seed in common] for cell in ladder]
    demand = np.full((len(common), len(ladder[0].labels)), NEVER)
    stays = np.ones(demand.shape, bool)
    # From the largest down: once an image is wrong, smaller resolutions do not count.
    for cell, own in zip(reversed(ladder), reversed(rows), strict=True):
        stays &= cell.correct_as_trained[own] == 1
        demand[stays] = cell.cell.resolution
    return demand


def _shares(demand: np.ndarray, resolutions: list[int], confidence: float) -> Iterator[Row]:
    for resolution in (*resolutions, NEVER):
        interval = accuracy_interval(demand == resolution, confidence)
        yield {
            "demand": resolution or None,
            "n_seeds": demand.shape[0],
            "n": demand.shape[1],
            **interval.columns("share"),
            "interval": interval.method,
        }
