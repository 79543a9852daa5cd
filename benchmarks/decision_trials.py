"""Trials of the decision: how often its answers on simulated sweeps are true, and reached."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from scipy.stats import binomtest

from benchmarks.decision_worlds import (
    CONFIDENCE,
    MARGIN,
    SEED_SD,
    World,
    cell_costs,
    draw_accuracies,
    just_outside,
    make_candidates,
    make_world,
)
from benchmarks.harness import shipped_config
from resomap.analysis.decision.advice import advise
from resomap.analysis.decision.budgets import apply_budgets
from resomap.analysis.decision.comparison import (
    Ranking,
    cheaper_candidates,
    rank_candidates,
)
from resomap.analysis.decision.contrasts import contrast_cells
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.knee import find_knee
from resomap.analysis.statistics import accuracy_interval, pool_seed_variance

TEST_IMAGES = 2000


LEVEL = 0.01
"""Level of the exact binomial tests of the bars."""


@dataclass(frozen=True)
class Rate:
    """How often something happened."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """Return the share."""
        return self.count / self.total if self.total else float("nan")

    def at_most(self, bar: float) -> bool:
        """Return whether an exact test does not show that the rate exceeds the bar."""
        test = binomtest(self.count, self.total, bar, alternative="greater")
        return bool(test.pvalue > LEVEL)

    def at_least(self, bar: float, level: float = LEVEL) -> bool:
        """Return whether an exact test does not show that the rate misses the bar."""
        test = binomtest(self.count, self.total, bar, alternative="less")
        return bool(test.pvalue > level)

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.count} of {self.total})" if self.total else "none"


@dataclass(frozen=True)
class Cover:
    """Coverage of each cell (K,), and the mean width over that with a known variance."""

    accuracy: np.ndarray
    accuracy_width: float
    difference: np.ndarray
    difference_width: float
    mean_width: float


def cover(
    accuracy: np.ndarray, seed_sd: float | np.ndarray, seeds: int, images: int, draws: int
) -> Cover:
    """Simulate the intervals of accuracies and of all differences on one set of images."""
    rng = np.random.default_rng([seeds, images, int(1000 * accuracy[0]), draws])
    pairs = np.triu_indices(len(accuracy), 1)
    names = [range(seeds)] * len(accuracy)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("mean", "low", "high", "dif", "half")
    }
    for _ in range(draws):
        world = make_world(accuracy, seed_sd, seeds, rng)
        correct = world.correct(world.images(images), slice(None))
        pool = pool_seed_variance(correct)
        intervals = [accuracy_interval(values, CONFIDENCE, pool) for values in correct]
        contrasts = contrast_cells(list(correct), names)
        for name in ("mean", "low", "high"):
            columns[name].append([getattr(one, name) for one in intervals])
        columns["dif"].append(contrasts.differences[pairs])
        columns["half"].append(contrasts.half_widths((1 - CONFIDENCE) / 2)[pairs])
    mean, low, high, dif, half = (np.array(values) for values in columns.values())
    truth = (accuracy[:, None] - accuracy)[pairs]
    known = 2 * 1.96
    return Cover(
        accuracy=((low <= accuracy) & (accuracy <= high)).mean(axis=0),
        accuracy_width=float(((high - low).mean(axis=0) / (known * mean.std(axis=0))).mean()),
        difference=(abs(dif - truth) <= half).mean(axis=0),
        difference_width=float((2 * half.mean(axis=0) / (known * dif.std(axis=0))).mean()),
        mean_width=float((high - low).mean()),
    )


def simulated_ranking(
    world: World, seeds: int, images: int, test_images: int = TEST_IMAGES
) -> Ranking:
    """Rank the cells of a world by validation and test images."""
    splits = [
        world.correct(world.images(count), slice(0, seeds)) for count in (images, test_images)
    ]
    return rank_candidates(make_candidates(*splits), MARGIN, CONFIDENCE)


@dataclass
class CertificateCounts:
    """What the certificates of simulated sweeps were."""

    total: int = 0
    possible: int = 0
    certified: int = 0
    cheaper: int = 0
    cheaper_than_selected: int = 0
    cheapest: int = 0
    false: int = 0

    def add(self, accuracy: np.ndarray, ranking: Ranking) -> None:
        """Count one sweep."""
        costs, best = cell_costs(len(accuracy)), int(accuracy.argmax())
        inside = accuracy >= accuracy.max() - MARGIN
        self.total += 1
        self.possible += bool((inside & (costs < costs[best])).any())
        cell = ranking.certificate.certified
        if cell is not None:
            self.certified += 1
            self.cheaper += bool(costs[cell] < costs[best])
            self.cheaper_than_selected += bool(costs[cell] < costs[ranking.best])
            self.cheapest += bool(costs[cell] == costs.min())
            self.false += not inside[cell]


def count_certificates(
    seeds: int,
    images: int,
    draws: int,
    accuracies: Callable[[np.random.Generator], np.ndarray] = draw_accuracies,
    seed_sd: float | np.ndarray = SEED_SD,
    test_images: int = TEST_IMAGES,
) -> CertificateCounts:
    """Certify simulated sweeps."""
    rng, counts = np.random.default_rng([seeds, images, 1]), CertificateCounts()
    for _ in range(draws):
        world = make_world(accuracies(rng), seed_sd, seeds, rng)
        counts.add(world.accuracy, simulated_ranking(world, seeds, images, test_images))
    return counts


def outside(rng: np.random.Generator) -> np.ndarray:
    """Return accuracies just outside of the margin; nothing is drawn."""
    return just_outside()


def outside_of_middle(rng: np.random.Generator) -> np.ndarray:
    """Return the same with the best cell among the cheaper half; nothing is drawn."""
    return np.roll(just_outside(), -7)


@dataclass
class Advised:
    """The numbers of seeds and of images that were advised, and how often they settled."""

    undecided: int = 0
    seeds: list[int] = field(default_factory=list)
    settled_by_seeds: int = 0
    images: list[int] = field(default_factory=list)
    settled_by_images: int = 0


def is_undecided(ranking: Ranking) -> bool:
    """Return whether no cell is certified and a cheaper one is open."""
    if ranking.certificate.certified is not None:
        return False
    return any(one.verdict == "open" for one in ranking.comparisons() if one.cheaper)


def follow_advice(
    cells: int, seeds: int, images: int, undecided: int, rng: np.random.Generator
) -> Advised:
    """Follow the advice of undecided sweeps: train its seeds, or take its images."""
    found = Advised()
    while found.undecided < undecided:
        world = make_world(_some_cells(rng, cells), SEED_SD, seeds + 20, rng)
        sets = [world.images(count) for count in (images, TEST_IMAGES)]
        splits = [world.correct(one, slice(0, seeds)) for one in sets]
        ranking = rank_candidates(make_candidates(*splits), MARGIN, CONFIDENCE)
        if not is_undecided(ranking):
            continue
        found.undecided += 1
        advice = advise(ranking)
        if advice.more_seeds:
            more = slice(seeds, seeds + advice.more_seeds)
            added = [
                np.concatenate([old, world.correct(one, more)], axis=1)
                for old, one in zip(splits, sets, strict=True)
            ]
            found.seeds.append(advice.more_seeds)
            found.settled_by_seeds += _settles(added)
        if advice.more_images:
            extra = world.correct(world.images(advice.more_images), slice(0, seeds))
            found.images.append(advice.more_images)
            found.settled_by_images += _settles(
                [splits[0], np.concatenate([splits[1], extra], 2)]
            )
    return found


def _some_cells(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return the accuracies of some of the cells of a grid, the cheapest first."""
    accuracy = draw_accuracies(rng)
    order = np.argsort(cell_costs())
    chosen = np.sort(rng.choice(len(order), cells, replace=False))
    return accuracy if cells == len(accuracy) else accuracy[order[chosen]]


def _settles(splits: list[np.ndarray]) -> bool:
    return not is_undecided(rank_candidates(make_candidates(*splits), MARGIN, CONFIDENCE))


def budgets_kept(draws: int, seeds: int = 3, images: int = 2000) -> tuple[Rate, Rate]:
    """Return how often chosen cells truly keep a minimum accuracy, and a maximum latency."""
    rng = np.random.default_rng([seeds, 3])
    kept, total = np.zeros(2, int), np.zeros(2, int)
    for _ in range(draws):
        accuracy = draw_accuracies(rng)
        world = make_world(accuracy, SEED_SD, seeds, rng)
        limit = float(np.quantile(accuracy, rng.uniform(0.3, 0.9)))
        costs = cell_costs()
        slowest = float(np.quantile(costs, rng.uniform(0.3, 0.9)))
        splits = [world.correct(world.images(n), slice(None)) for n in (images, TEST_IMAGES)]
        latencies = [measure_latency(cost, rng) for cost in costs]
        candidates = make_candidates(*splits, latencies)
        for place, (rules, truth) in enumerate(
            (
                (budget_rules(min_accuracy=limit), accuracy >= limit),
                (budget_rules(max_latency_ms=slowest), costs <= slowest),
            )
        ):
            allowed, _ = apply_budgets(candidates, rules)
            if allowed:
                ranking = rank_candidates(allowed, MARGIN, CONFIDENCE)
                certified = ranking.certificate.certified
                choice = allowed[ranking.best if certified is None else certified]
                total[place] += 1
                kept[place] += bool(truth[candidates.index(choice)])
    return Rate(int(kept[0]), int(total[0])), Rate(int(kept[1]), int(total[1]))


def measure_latency(cost: float, rng: np.random.Generator, rounds: int = 7) -> Latency:
    """Draw the rounds of a measurement with an error of 3 %."""
    values = cost * np.exp(rng.normal(0, 0.03, rounds))
    median = float(np.median(values))
    return Latency(median, median, True, tuple(values.tolist()))


def budget_rules(**changes: Any) -> Any:
    """Return the shipped rules of the report with changes."""
    return shipped_config().report.model_copy(update=changes)


def swapped_latencies(draws: int) -> tuple[Rate, Rate]:
    """Return how often a choice changes when two overlapping latencies are swapped.

    Counted are pairs of cells of two models of which neither is shown to cost less; and changes
    of a choice to or from one that is not one of the two.
    """
    rng, flips, total, others = np.random.default_rng(4), 0, 0, 0
    while total < draws:
        accuracy = draw_accuracies(rng)
        world = make_world(accuracy, SEED_SD, 3, rng)
        splits = [world.correct(world.images(n), slice(None)) for n in (2000, TEST_IMAGES)]
        costs = cell_costs()
        first, second = rng.choice(15, 2, replace=False)
        costs[second] = costs[first] * np.exp(rng.normal(0, 0.01))
        latencies = [measure_latency(cost, rng) for cost in costs]
        before = make_candidates(*splits, latencies)
        cheaper = cheaper_candidates(before, CONFIDENCE)
        if cheaper[first, second] or cheaper[second, first]:
            continue
        latencies[first], latencies[second] = latencies[second], latencies[first]
        after = make_candidates(*splits, latencies)
        chosen = [_certified(candidates) for candidates in (before, after)]
        total += 1
        is_firm = None not in chosen
        flips += is_firm and chosen[0] != chosen[1] and {*chosen} == {first, second}
        others += is_firm and chosen[0] != chosen[1]
    return Rate(flips, total), Rate(others, total)


def _certified(candidates: list[Any]) -> int | None:
    return rank_candidates(candidates, MARGIN, CONFIDENCE).certificate.certified


def knees_right(draws: int, seeds: int, images: int, *, dip: bool) -> tuple[Rate, float]:
    """Return how often the bracket of a knee holds the truth, and how often it has two ends."""
    rng, right, bounded = np.random.default_rng([seeds, images, dip]), 0, 0
    resolutions = (24, 32, 48, 64, 96, 128)
    for _ in range(draws):
        curve = 0.9 - rng.uniform(0.1, 0.4) * np.exp(-rng.uniform(0.5, 1.5) * np.arange(6))
        if dip:
            curve[rng.integers(1, 5)] -= rng.uniform(0.02, 0.06)
        world = make_world(curve, SEED_SD, seeds, rng)
        correct = world.correct(world.images(images), slice(None))
        contrasts = contrast_cells(list(correct), [range(seeds)] * 6)
        knee = find_knee(contrasts, resolutions, MARGIN, CONFIDENCE)
        truth = resolutions[int((curve >= curve.max() - MARGIN).argmax())]
        right += (knee.lower or 0) < truth <= knee.upper
        bounded += knee.lower is not None and knee.censored == ""
    return Rate(right, draws), bounded / draws


def time_decision(cells: int, seeds: int, images: int) -> float:
    """Return the seconds of ranking and certifying cells."""
    rng = np.random.default_rng(5)
    world = make_world(rng.uniform(0.7, 0.9, cells), SEED_SD, seeds, rng)
    splits = [world.correct(world.images(images), slice(None)) for _ in range(2)]
    candidates = make_candidates(*splits)
    started = perf_counter()
    rank_candidates(candidates, MARGIN, CONFIDENCE).comparisons()
    return perf_counter() - started
