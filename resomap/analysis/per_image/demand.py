"""Rows of demand.csv and hard_images.csv: the resolution that each image needs.

The demand of an image is the smallest resolution of the sweep at which the network trained and
tested there predicts it correctly, as do those of the same seed at all larger resolutions.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from resomap.analysis.predictions import Cell, Predictions
from resomap.analysis.profiles import Row
from resomap.analysis.statistics import accuracy_interval, pool_seed_variance

NEVER = 0
MAX_HARD_IMAGES = 200
"""Images of each model in hard_images.csv: a table of all would grow with models times images."""


def demand_rows(
    test: Mapping[Cell, Predictions], manifest: dict[str, Any], confidence: float
) -> Iterator[Row]:
    """Yield a row per model, class (and all) and resolution: the share of images that need it."""
    needing: dict[str | None, dict[tuple[str, str, int], np.ndarray]] = {}
    for family, model in dict.fromkeys(cell[:2] for cell in test):
        own = [each for cell, each in test.items() if cell[:2] == (family, model)]
        demand, labels = compute_demand(own), own[0].labels
        members = {None: np.ones(len(labels), bool)}
        members |= {name: labels == index for index, name in enumerate(manifest["classes"])}
        for name, chosen in members.items():
            # Classes without test images, and models without a seed at every resolution.
            if demand[:, chosen].size:
                for px in (*sorted(each.cell.resolution for each in own), NEVER):
                    key = (family, model, px)
                    needing.setdefault(name, {})[key] = demand[:, chosen] == px
    for name, values in needing.items():
        yield from _shares(name, values, confidence)


def hard_image_rows(
    test: Mapping[Cell, Predictions], manifest: dict[str, Any]
) -> Iterator[Row]:
    """Yield a row per model and test image that needs the most pixels, the neediest first.

    Only images that every seed predicts correctly at the largest resolution: what no seed
    predicts may have a wrong label, and more pixels are not known to help it.
    """
    for family, model in dict.fromkeys(cell[:2] for cell in test):
        own = [each for cell, each in test.items() if cell[:2] == (family, model)]
        demand, labels = compute_demand(own), own[0].labels
        if len(demand):
            lowest, highest = demand.min(axis=0), demand.max(axis=0)
            # NEVER is the smallest value, so one such seed makes `lowest` NEVER.
            order = np.lexsort((np.arange(len(labels)), -demand.mean(axis=0), -lowest))
            # What the smallest resolution suffices for needs no more pixels than any other image.
            smallest = min(each.cell.resolution for each in own)
            needy = order[~np.isin(lowest[order], (NEVER, smallest))]
            for index in needy[:MAX_HARD_IMAGES]:
                yield {
                    "family": family,
                    "model": model,
                    "index": int(index),
                    "class": manifest["classes"][labels[index]],
                    "n_seeds": len(demand),
                    "demand": int(lowest[index]),
                    "demand_highest": int(highest[index]),
                }


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


def _shares(
    name: str | None, needing: Mapping[tuple[str, str, int], np.ndarray], confidence: float
) -> Iterator[Row]:
    """Yield the rows of one class; the seed variance is pooled over models and resolutions."""
    pool = pool_seed_variance(needing.values())
    for (family, model, px), values in needing.items():
        interval = accuracy_interval(values, confidence, pool)
        yield {
            "family": family,
            "model": model,
            "class": name,
            "demand": px or None,
            "n_seeds": values.shape[0],
            "n": values.shape[1],
            **interval.columns("share"),
            "interval": interval.method,
        }
