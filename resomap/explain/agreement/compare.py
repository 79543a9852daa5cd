"""Agreement between the maps of one model, across resolutions and seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Literal

import numpy as np

from resomap.explain.agreement.measures import MEASURES, Measure
from resomap.explain.agreement.normalise import (
    MIN_SEEDS,
    AgreementParts,
    SeedPairs,
    mean,
    summarise,
)
from resomap.explain.grids import reduce_maps
from resomap.workflow.layout import table_columns

AGREEMENT_COLUMNS = table_columns("model_agreement")
Block = Literal["input", "rule", "fixed", "picture"]
NetworkState = Literal["trained", "untrained", "none"]
Maps = Mapping[int, np.ndarray]
"""Maps (n, ...) of the same images by seed."""
MIN_IMAGES = 5
MAX_SEEDS_ALL_PAIRS = 4  # beyond, the number of all pairs would grow quadratically
# Shifts for the floor, as shares of the images in the order of their classes. With four or more
# classes of equal size every shift leads to an image of another class.
FLOOR_SHIFTS = (1 / 4, 1 / 2, 3 / 4)


@dataclass(frozen=True)
class ModelMaps:
    """Signed maps of one method for one model at one block: `maps[resolution][seed]` (n, h, h).

    All are of the same n images, `index` (n,) their positions in the test split. Baselines do
    not use a model: their `network` is none, and their maps have a single seed.
    """

    method: str
    block: Block
    network: NetworkState
    index: np.ndarray
    maps: Mapping[int, Maps]


def compare_maps(
    model_maps: ModelMaps, labels: np.ndarray, right: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield rows of AGREEMENT_COLUMNS for every two resolutions, measure and population.

    `labels` (N,) are the classes of the whole test split. The population `right`, reported for
    trained networks beside `all`, are the test positions of images that every run classifies
    correctly. Maps are reduced to the coarser of the two grids, at most `Measure.max_side`.
    Rows lack the columns `family` and `model`.

    - `observed`: mean over images and pairs of different seeds, one at each resolution. Both
      the resolution and the training differ, so the ceiling is the right reference.
    - `same_seed`: the same for pairs of equal seeds, the only value with a single seed.
    - `floor`: as `observed`, but with the map of another image.
    - `ceiling`: same resolution, different seeds. A resolution compared with itself has its
      ceiling alone, on its own grid.
    - `undefined`: number of images with a map for which the measure is not defined. Undefined
      values are excluded from the means.

    Rows with fewer than five images or more than half of them undefined have no values.
    """
    populations = {"all": np.arange(len(model_maps.index))}
    if model_maps.network == "trained":
        populations["right"] = np.flatnonzero(np.isin(model_maps.index, right))
    maps, labels = model_maps.maps, labels[model_maps.index]
    source = {
        "method": model_maps.method,
        "block": model_maps.block,
        "network": model_maps.network,
    }
    for low, high in combinations_with_replacement(sorted(maps), 2):
        seeds = sorted(maps[low].keys() & maps[high].keys())
        if not seeds or (low == high and model_maps.network != "trained"):
            continue
        pairing = _pair_seeds(model_maps.network, seeds, same_resolution=low == high)
        for name, measure in MEASURES.items():
            comparison = _compare_on_one_grid(measure, maps[low], maps[high], pairing)
            for population, images in populations.items():
                yield {
                    **source,
                    "population": population,
                    "measure": name,
                    "low": low,
                    "high": high,
                    **_row(comparison, pairing, labels, images),
                }


@dataclass(frozen=True)
class _SeedPairing:
    """The pairs of seeds that are compared.

    The first seed of a pair is at the low and the second at the high resolution; for `ceiling`
    both are at one resolution.
    """

    seeds: Sequence[int]
    interval: str | None
    same_seed: Sequence[tuple[int, int]]
    observed: Sequence[tuple[int, int]]
    floor: Sequence[tuple[int, int]]
    ceiling: Sequence[tuple[int, int]]


def _pair_seeds(
    network: NetworkState, seeds: Sequence[int], *, same_resolution: bool
) -> _SeedPairing:
    same, different = [(seed, seed) for seed in seeds], seed_pairs(seeds)
    # At one resolution the order of a pair does not matter.
    unordered = sorted({(min(pair), max(pair)) for pair in different})
    interval = _interval_name(len(seeds))
    if same_resolution:
        return _SeedPairing(seeds, interval, [], unordered, [], [])
    if network == "none":
        return _SeedPairing(seeds, "bootstrap over pictures", [], same, same, [])
    # One pair per seed: the floor averages over many pairs of images already.
    floor = (different or same)[: len(seeds)]
    ceiling = unordered if network == "trained" else []
    return _SeedPairing(seeds, interval, same, different, floor, ceiling)


def _interval_name(num_seeds: int) -> str | None:
    """Return the value of the column `interval`."""
    if num_seeds >= MIN_SEEDS:
        return "pictures and seeds"
    return "bootstrap over pictures, these networks only" if num_seeds > 1 else None


def seed_pairs(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Return ordered pairs of different seeds: all for up to four seeds, else two per seed.

    With more seeds, each is paired with the next two, cyclically. The first `len(seeds)` pairs
    contain every seed twice.
    """
    count = len(seeds)
    steps = range(1, count) if count <= MAX_SEEDS_ALL_PAIRS else (1, 2)
    pairs: list[tuple[int, int]] = []
    for step in steps:
        pairs += zip(seeds, [*seeds[step:], *seeds[:step]], strict=True)
    return pairs


@dataclass(frozen=True)
class _GridComparison:
    """Maps of two resolutions on one grid, prepared for a measure, and their agreement."""

    measure: Measure
    side: int
    low: Maps
    high: Maps
    same_seed: SeedPairs
    observed: SeedPairs
    ceilings: tuple[SeedPairs, SeedPairs]


def _compare_on_one_grid(
    measure: Measure, low: Maps, high: Maps, pairing: _SeedPairing
) -> _GridComparison:
    sides = [maps[pairing.seeds[0]].shape[-1] for maps in (low, high)]
    side = min(measure.max_side or np.inf, *sides)
    low = _prepare(measure, low, pairing.seeds, side)
    high = _prepare(measure, high, pairing.seeds, side)
    return _GridComparison(
        measure,
        side,
        low,
        high,
        same_seed=_compare_pairs(measure, low, high, pairing.same_seed),
        observed=_compare_pairs(measure, low, high, pairing.observed),
        ceilings=(
            _compare_pairs(measure, low, low, pairing.ceiling),
            _compare_pairs(measure, high, high, pairing.ceiling),
        ),
    )


def _prepare(measure: Measure, maps: Maps, seeds: Sequence[int], side: int) -> Maps:
    return {seed: measure.prepare(reduce_maps(maps[seed], side)) for seed in seeds}


def _compare_pairs(
    measure: Measure, low: Maps, high: Maps, pairs: Sequence[tuple[int, int]]
) -> SeedPairs:
    values = [measure.compare(low[first], high[second]) for first, second in pairs]
    num_images = len(next(iter(low.values())))
    return SeedPairs(pairs, np.reshape(values, (len(pairs), num_images)))


def _row(
    comparison: _GridComparison, pairing: _SeedPairing, labels: np.ndarray, images: np.ndarray
) -> dict[str, Any]:
    """Return the columns from `side` on for some of the images."""
    same_seed = comparison.same_seed.select(images)
    observed = comparison.observed.select(images)
    values = np.concatenate([same_seed.values, observed.values])
    undefined = int(np.isnan(values).any(axis=0).sum())
    row = {
        "side": comparison.side,
        "n": len(images),
        "seed_pairs": len(pairing.observed),
        "undefined": undefined,
    }
    # The remaining images would not represent a model whose maps are mostly undefined.
    if len(images) < MIN_IMAGES or undefined > len(images) / 2:
        return row
    low, high = (ceiling.select(images) for ceiling in comparison.ceilings)
    parts = AgreementParts(observed, _floor(comparison, pairing, labels, images), (low, high))
    summary = summarise(parts, pairing.seeds, comparison.measure.kind)
    if not pairing.floor:
        summary["ceiling"] = summary["observed"]
    same_seed_mean = float(mean(same_seed.image_means()))
    return {**row, "same_seed": same_seed_mean, "interval": pairing.interval, **summary}


def _floor(
    comparison: _GridComparison, pairing: _SeedPairing, labels: np.ndarray, images: np.ndarray
) -> SeedPairs:
    """Return the agreement with maps of other images (pairs, n), attributed to each image.

    The mean over the images is the mean over all compared pairs of images.
    """
    order = np.argsort(labels[images], kind="stable")
    values = np.empty((len(pairing.floor), len(images)))
    for row, (first, second) in enumerate(pairing.floor):
        low, high = comparison.low[first][images], comparison.high[second][images]
        as_low, as_high = np.empty((2, len(FLOOR_SHIFTS), len(images)))
        for turn, share in enumerate(FLOOR_SHIFTS):
            partner = np.empty_like(order)
            partner[order] = np.roll(order, -int(share * len(order)))
            as_low[turn] = comparison.measure.compare(low, high[partner])
            as_high[turn, partner] = as_low[turn]
        # An image takes part with its low and its high map. Its value is the sum of both means
        # less the overall mean (a Hajek projection); one mean alone would make the intervals
        # too narrow.
        values[row] = mean(as_low) + mean(as_high) - mean(as_low.ravel())
    return SeedPairs(pairing.floor, values)
