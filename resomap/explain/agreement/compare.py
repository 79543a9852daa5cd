"""The maps of one network against each other, across resolutions and seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Literal

import numpy as np

from resomap.explain.agreement.measures import MEASURES, Measure
from resomap.explain.agreement.normalise import ENOUGH_SEEDS, Parts, SeedPairs, mean, summarise
from resomap.explain.grids import reduce_maps
from resomap.workflow.layout import table_columns

AGREEMENT_COLUMNS = table_columns("model_agreement")
Block = Literal["input", "rule", "fixed", "picture"]
Network = Literal["trained", "untrained", "none"]
FEWEST_PICTURES = 5
ALL_PAIRS = 4  # seeds up to which each meets each; more would cost the square of their number
SHIFTS = (
    1 / 4,
    1 / 2,
    3 / 4,
)  # of the pictures, in the order of their classes: to a picture of another class where there are four


@dataclass(frozen=True)
class ModelMaps:
    """What one method says of one network, read at one block: `maps[resolution][seed]` are signed (n, h, h), of the same n pictures.

    `index` (n,) are their places in the test split. Baselines know no network: `network` is none, and their maps stand under one seed.
    """

    method: str
    block: Block
    network: Network
    index: np.ndarray
    maps: Mapping[int, Mapping[int, np.ndarray]]


def compare_maps(
    evidence: ModelMaps, labels: np.ndarray, right: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Rows of COLUMNS without family and model: every two resolutions, and each with itself, by each measure, for each population.

    `labels` (N,) are the classes of the whole test split; the population `right` are those of its pictures that every run of the sweep
    answers right, here by their places in the split, and stands beside `all` for trained networks. Maps are reduced to the coarser grid of
    the two, and to the side that a measure bears.

    - `observed`: the mean over pictures and over pairs of different seeds, one at either resolution, so that what two resolutions share is
      held against what two trainings share; `same_seed` stands beside it, and alone where there is one seed.
    - `floor`: the same networks, the other map that of another picture. `ceiling`: other seed, same resolution.
    - A resolution with itself: its ceiling alone, at its own grid (and the side that a measure bears).
    - `undefined`: pictures of which any map has no measure. Such meetings are left out of the means, for a map that says nothing is no
      disagreement. Where such pictures are more than half, or there are fewer than five pictures, the row is blank: what is left would
      stand for a network that mostly says nothing.
    """
    populations = {"all": np.arange(len(evidence.index))}
    if evidence.network == "trained":
        populations["right"] = np.flatnonzero(np.isin(evidence.index, right))
    for low, high in combinations_with_replacement(sorted(evidence.maps), 2):
        seeds = sorted(evidence.maps[low].keys() & evidence.maps[high].keys())
        if not seeds or (low == high and evidence.network != "trained"):
            continue
        plan = _plan(evidence.network, seeds, alone=low == high)
        for name, measure in MEASURES.items():
            meeting = _meet(measure, evidence.maps[low], evidence.maps[high], plan)
            for population, pictures in populations.items():
                what = {
                    "method": evidence.method,
                    "block": evidence.block,
                    "network": evidence.network,
                }
                where = {"population": population, "measure": name, "low": low, "high": high}
                yield {**what, **where, **_row(meeting, plan, labels[evidence.index], pictures)}


@dataclass(frozen=True)
class _Plan:
    """Which pairs of seeds meet: three times one at the low and one at the high resolution, for `ceiling` both at one resolution."""

    seeds: Sequence[int]
    interval: str | None
    same_seed: Sequence[tuple[int, int]]
    observed: Sequence[tuple[int, int]]
    floor: Sequence[tuple[int, int]]
    ceiling: Sequence[tuple[int, int]]


def _plan(network: Network, seeds: Sequence[int], *, alone: bool) -> _Plan:
    same, others = [(seed, seed) for seed in seeds], seed_pairs(seeds)
    twos = sorted({(min(pair), max(pair)) for pair in others})
    interval = (
        "pictures and seeds"
        if len(seeds) >= ENOUGH_SEEDS
        else "bootstrap over pictures, these networks only"
        if others
        else None
    )
    if alone:
        return _Plan(seeds, interval, same_seed=[], observed=twos, floor=[], ceiling=[])
    if network == "none":
        return _Plan(
            seeds,
            "bootstrap over pictures",
            same_seed=[],
            observed=same,
            floor=same,
            ceiling=[],
        )
    return _Plan(
        seeds,
        interval,
        same,
        others,
        (others or same)[: len(seeds)],
        twos if network == "trained" else [],
    )


def seed_pairs(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """Ordered pairs of different seeds: of up to four seeds all, of more each with the next two round the ring.

    As many of them as there are seeds stand first: each with the next.
    """
    count = len(seeds)
    steps = range(1, count) if count <= ALL_PAIRS else (1, 2)
    return [
        (seed, seeds[(place + step) % count])
        for step in steps
        for place, seed in enumerate(seeds)
    ]


@dataclass(frozen=True)
class _Meeting:
    """Maps (n, ...) of two resolutions on one grid, by seed, prepared for a measure, and how alike they are."""

    measure: Measure
    side: int
    low: Mapping[int, np.ndarray]
    high: Mapping[int, np.ndarray]
    same_seed: SeedPairs
    observed: SeedPairs
    ceilings: tuple[SeedPairs, SeedPairs]


def _meet(
    measure: Measure, low: Mapping[int, np.ndarray], high: Mapping[int, np.ndarray], plan: _Plan
) -> _Meeting:
    side = min(
        measure.most_side or np.inf, *(maps[plan.seeds[0]].shape[-1] for maps in (low, high))
    )
    low, high = (
        {seed: measure.prepare(reduce_maps(maps[seed], side)) for seed in plan.seeds}
        for maps in (low, high)
    )
    return _Meeting(
        measure,
        side,
        low,
        high,
        same_seed=_pair_up(measure, low, high, plan.same_seed),
        observed=_pair_up(measure, low, high, plan.observed),
        ceilings=(
            _pair_up(measure, low, low, plan.ceiling),
            _pair_up(measure, high, high, plan.ceiling),
        ),
    )


def _pair_up(
    measure: Measure,
    one: Mapping[int, np.ndarray],
    other: Mapping[int, np.ndarray],
    pairs: Sequence[tuple[int, int]],
) -> SeedPairs:
    values = [measure.compare(one[first], other[second]) for first, second in pairs]
    return SeedPairs(pairs, np.reshape(values, (len(pairs), len(next(iter(one.values()))))))


def _row(
    meeting: _Meeting, plan: _Plan, labels: np.ndarray, pictures: np.ndarray
) -> dict[str, Any]:
    """The columns from `side` on."""
    same_seed, observed = meeting.same_seed.of(pictures), meeting.observed.of(pictures)
    undefined = np.isnan(np.concatenate([same_seed.values, observed.values])).any(axis=0).sum()
    row = {
        "side": meeting.side,
        "n": len(pictures),
        "seed_pairs": len(plan.observed),
        "undefined": int(undefined),
    }
    if len(pictures) < FEWEST_PICTURES or undefined > len(pictures) / 2:
        return row
    low, high = (ceiling.of(pictures) for ceiling in meeting.ceilings)
    parts = Parts(observed, _floor(meeting, plan, labels, pictures), (low, high))
    told = summarise(parts, plan.seeds, meeting.measure.kind)
    if not plan.floor:
        told["ceiling"] = told["observed"]
    return {
        **row,
        "same_seed": float(mean(same_seed.a_picture())),
        "interval": plan.interval,
        **told,
    }


def _floor(
    meeting: _Meeting, plan: _Plan, labels: np.ndarray, pictures: np.ndarray
) -> SeedPairs:
    """Each picture's part in the floor (pairs, n): the mean over them is that over the meetings of two pictures.

    A picture takes part with both its maps, so the means of either are added: an interval from one alone would be too narrow.
    """
    order = np.argsort(labels[pictures], kind="stable")
    values = np.empty((len(plan.floor), len(pictures)))
    for row, (first, second) in enumerate(plan.floor):
        low, high = meeting.low[first][pictures], meeting.high[second][pictures]
        as_low, as_high = (np.empty((len(SHIFTS), len(pictures))) for _ in range(2))
        for turn, share in enumerate(SHIFTS):
            partner = np.empty_like(order)
            partner[order] = np.roll(order, -int(share * len(order)))
            as_low[turn] = meeting.measure.compare(low, high[partner])
            as_high[turn, partner] = as_low[turn]
        values[row] = mean(as_low) + mean(as_high) - mean(as_low.ravel())
    return SeedPairs(plan.floor, values)
