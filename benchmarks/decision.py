"""How often the choice is right and reached: simulated sweeps of which the truth is known.

`python -m benchmarks.decision all` writes decision.md. Seeds are fixed.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
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
from benchmarks.harness import markdown, part_parser, run_parts, shipped_config
from resomap.analysis.advice import advise
from resomap.analysis.budgets import apply_budgets
from resomap.analysis.comparison import Latency, Ranking, rank_candidates, shown_cheaper
from resomap.analysis.contrasts import contrast_cells
from resomap.analysis.knee import find_knee
from resomap.analysis.statistics import accuracy_interval, pool_seed_variance

PAGE_TITLE = "# The decision\n\nSimulated sweeps of which the truth is known. Written by `python -m benchmarks.decision all`."
TEST_IMAGES = 2000
SIZES = ((2, 400), (3, 2000), (5, 2000))
POWER_BARS = (0.27, 0.40, 0.55)
SETTLED_BAR = 0.75
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
        return f"{self.value:.3f} ({self.count} of {self.total})"


def verdict(kept: bool) -> str:
    """Return how the table says whether a bar is kept."""
    return "kept" if kept else "MISSED"


# Intervals


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


def run_intervals(options: Namespace, work: Path) -> str:
    """Simulate twelve equal cells."""
    rows = list(interval_rows(options.simulations // 4))
    head = (
        *(
            "accuracy",
            "seed sd",
            "n",
            "S",
            "accuracies covered",
            "width",
            "differences covered",
        ),
        *("width", "bar"),
    )
    note = (
        "Twelve equal cells. Covered: share of 95 % intervals that hold the truth (bar .93 to "
        ".97). Width: over that of an interval with a known variance (bar 1.3)."
    )
    return f"{note}\n\n{markdown(head, rows)}"


def interval_rows(draws: int) -> Iterator[tuple[object, ...]]:
    """Yield a row per accuracy, seed variance, number of images and of seeds."""
    for accuracy in (0.5, 0.8, 0.95, 0.99):
        for seed_sd in (0.0, 0.007, 0.02, 0.05):
            # No accuracy varies by more than what lies above it.
            if seed_sd > 0.5 * (1 - accuracy):
                continue
            for images in (400, 2000):
                for seeds in (2, 3, 5, 10):
                    found = cover(np.full(12, accuracy), seed_sd, seeds, images, draws)
                    yield _interval_row((accuracy, seed_sd, images, seeds), found)


def _interval_row(key: tuple[object, ...], found: Cover) -> tuple[object, ...]:
    shares = found.accuracy.mean(), found.difference.mean()
    widths = found.accuracy_width, found.difference_width
    # One point for the noise of the simulation.
    kept = all(0.92 <= share <= 0.98 for share in shares) and max(widths) <= 1.32
    return (
        *key,
        *(f"{shares[0]:.3f}", f"{widths[0]:.2f}", f"{shares[1]:.3f}", f"{widths[1]:.2f}"),
        verdict(kept),
    )


UNLIKE = {
    "6 of .5, 6 of 3 points": (np.full(12, 0.8), np.repeat([0.005, 0.03], 6)),
    "5 to .3 points, accuracy rising": (
        np.linspace(0.6, 0.97, 12),
        np.geomspace(0.05, 0.003, 12),
    ),
    "5 to .3 points, equal accuracy": (np.full(12, 0.8), np.geomspace(0.05, 0.003, 12)),
}


def run_unlike(options: Namespace, work: Path) -> str:
    """Simulate cells with unlike seed variances."""
    draws, rows = options.simulations // 4, []
    for name, (accuracy, seed_sd) in UNLIKE.items():
        for seeds in (2, 3, 5, 10):
            found = cover(accuracy, seed_sd, seeds, 2000, draws)
            lowest = found.accuracy.min(), found.difference.min()
            # The worst of many is below .90 by chance, so they share the level.
            kept = all(
                Rate(round(share * draws), draws).at_least(0.9, LEVEL / count)
                for share, count in zip(lowest, (12, 66), strict=True)
            )
            values = (*lowest, found.accuracy.mean())
            rows.append((name, seeds, *(f"{one:.3f}" for one in values), verdict(kept)))
    head = ("seed sd", "S", "lowest accuracy", "lowest difference", "mean accuracy", "bar")
    note = "Coverage of the worst of twelve cells and of the worst of 66 differences (bar .90)."
    return f"{note}\n\n{markdown(head, rows)}"


def run_width(options: Namespace, work: Path) -> str:
    """Compare mean widths of intervals by the number of seeds."""
    rows = []
    for images in (400, 2000):
        widths = [
            cover(np.full(12, 0.8), SEED_SD, seeds, images, options.simulations // 4).mean_width
            for seeds in range(2, 7)
        ]
        kept = all(after <= before * 1.01 for before, after in pairwise(widths))
        rows.append((images, *(f"{100 * width:.2f}" for width in widths), verdict(kept)))
    note = "Mean width in points of the interval of an accuracy of .8, by the number of seeds."
    return f"{note}\n\n{markdown(('n', *map(str, range(2, 7)), 'bar'), rows)}"


# The certificate


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


def _outside(rng: np.random.Generator) -> np.ndarray:
    return just_outside()


UNLIKE_SEEDS = np.where(np.arange(15) % 2, 0.005, 0.03)


def run_certificate(options: Namespace, work: Path) -> str:
    """Simulate the prior of grids, and 14 cells just outside of the margin."""
    rows = []
    for (seeds, images), bar in zip(SIZES, POWER_BARS, strict=True):
        found = count_certificates(seeds, images, options.simulations)
        rows.append(_certificate_row("prior", seeds, images, found, bar))
    for seeds, images in SIZES:
        found = count_certificates(seeds, images, options.simulations, _outside)
        rows.append(_certificate_row("14 just outside", seeds, images, found))
    for seeds in (2, 3, 5):
        found = count_certificates(
            seeds, 2000, options.simulations // 2, _outside, UNLIKE_SEEDS
        )
        rows.append(_certificate_row("outside, unlike seeds", seeds, 2000, found))
    head = (
        *("worlds", "S", "val n", "cheaper exists", "certified", "cheaper than the best"),
        *("than the selected", "false", "false <= 5 %", "power"),
    )
    return f"{CERTIFICATE_NOTE}\n\n{markdown(head, rows)}"


CERTIFICATE_NOTE = """\
3 models x 5 resolutions, 2,000 test images, margin 2 points, seed sd .7 points. `certified`: a
cell is shown on test images to lose less than the margin to every other cell. `cheaper than the
best`: it costs less than the truly most accurate cell; `than the selected`: less than the most
accurate one on validation images. `false`: it loses more than the margin. `power`: bars of .27,
.40 and .55 for a certified cell that is cheaper than the best."""


def _certificate_row(
    name: str, seeds: int, images: int, found: CertificateCounts, bar: float | None = None
) -> tuple[object, ...]:
    counts = (found.certified, found.cheaper, found.cheaper_than_selected, found.false)
    rates = [Rate(count, found.total) for count in counts]
    power = "" if bar is None else f"{verdict(rates[1].value >= bar)} ({bar:.2f})"
    return (
        *(name, seeds, images, f"{found.possible / found.total:.2f}"),
        *(f"{rate.value:.3f}" for rate in rates),
        verdict(rates[3].at_most(0.05)),
        power,
    )


# Advice


@dataclass
class Advised:
    """How often advice was given and settled the choice."""

    undecided: int = 0
    seeds: int = 0
    settled_by_seeds: int = 0
    images: int = 0
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
            found.seeds += 1
            found.settled_by_seeds += _settles(added)
        if advice.more_images and advice.more_images < MOST_SIMULATED_IMAGES:
            extra = world.correct(world.images(advice.more_images), slice(0, seeds))
            found.images += 1
            found.settled_by_images += _settles(
                [splits[0], np.concatenate([splits[1], extra], 2)]
            )
    return found


MOST_SIMULATED_IMAGES = 40_000


def _some_cells(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return the accuracies of some of the cells of a grid, the cheapest first."""
    accuracy = draw_accuracies(rng)
    order = np.argsort(cell_costs())
    chosen = np.sort(rng.choice(len(order), cells, replace=False))
    return accuracy if cells == len(accuracy) else accuracy[order[chosen]]


def _settles(splits: list[np.ndarray]) -> bool:
    return not is_undecided(rank_candidates(make_candidates(*splits), MARGIN, CONFIDENCE))


def run_advice(options: Namespace, work: Path) -> str:
    """Follow the advice of undecided sweeps of 2, 5 and 15 cells."""
    rows = []
    for cells in (2, 5, 15):
        rng = np.random.default_rng([cells, 2])
        found = follow_advice(cells, 2, 400, options.simulations // 12, rng)
        by_seeds = Rate(found.settled_by_seeds, found.seeds)
        by_images = Rate(found.settled_by_images, found.images)
        kept = by_seeds.at_least(SETTLED_BAR) and by_images.at_least(SETTLED_BAR)
        rows.append((cells, found.undecided, by_seeds, by_images, verdict(kept)))
    note = (
        "Undecided sweeps of 2 seeds and 400 validation images, with the seeds or the test "
        "images of the advice added. Settled: share of those with advice (bar .75)."
    )
    head = ("cells", "undecided", "settled by seeds", "settled by images", "bar")
    return f"{note}\n\n{markdown(head, rows)}"


# Budgets, latencies, knees and speed


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


def run_budgets(options: Namespace, work: Path) -> str:
    """Count how often budgets are truly kept."""
    accuracy, latency = budgets_kept(options.simulations // 4)
    rows = [
        ("min_accuracy", accuracy, verdict(accuracy.at_least(0.95))),
        ("max_latency_ms", latency, verdict(latency.at_least(0.95))),
    ]
    note = "Chosen cells that truly keep a budget (bar .95), 3 seeds, 2,000 validation images."
    return f"{note}\n\n{markdown(('budget', 'kept', 'bar'), rows)}"


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
        cheaper = shown_cheaper(before, CONFIDENCE)
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


def run_latencies(options: Namespace, work: Path) -> str:
    """Swap two latencies that overlap."""
    between, any_change = swapped_latencies(options.simulations // 4)
    rows = [
        ("between the two", between, verdict(between.count == 0)),
        ("any", any_change, ""),
    ]
    note = (
        "Two cells of which neither is shown to cost less, with their latencies swapped: how "
        "often a certified choice changes (bar: never between the two)."
    )
    return f"{note}\n\n{markdown(('change', 'share', 'bar'), rows)}"


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


def run_knees(options: Namespace, work: Path) -> str:
    """Bracket the knees of rising curves, and of curves with a dip."""
    rows = []
    for dip in (False, True):
        for seeds, images in ((2, 400), (3, 2000), (5, 10_000)):
            draws = options.simulations // (2 if images < 5000 else 8)
            right, bounded = knees_right(draws, seeds, images, dip=dip)
            name = "with a dip" if dip else "rising"
            rows.append(
                (name, seeds, images, right, f"{bounded:.2f}", verdict(right.at_least(0.95)))
            )
    head = ("curve", "S", "n", "right", "both ends known", "bar")
    note = (
        "Brackets (lower, upper] that hold the smallest resolution within the margin (bar .95)."
    )
    return f"{note}\n\n{markdown(head, rows)}"


def run_speed(options: Namespace, work: Path) -> str:
    """Time the decision on 16 models x 7 resolutions x 5 seeds."""
    rows = []
    for images in (2000, 10_000):
        seconds = time_decision(112, 5, images)
        rows.append((images, f"{seconds:.2f}", verdict(seconds < 1 or images > 2000)))
    note = "Seconds of one decision of 112 cells and 5 seeds, by the number of images a split."
    return f"{note}\n\n{markdown(('n', 's', 'bar'), rows)}"


def time_decision(cells: int, seeds: int, images: int) -> float:
    """Return the seconds of ranking and certifying cells."""
    rng = np.random.default_rng(5)
    world = make_world(rng.uniform(0.7, 0.9, cells), SEED_SD, seeds, rng)
    splits = [world.correct(world.images(images), slice(None)) for _ in range(2)]
    candidates = make_candidates(*splits)
    started = perf_counter()
    rank_candidates(candidates, MARGIN, CONFIDENCE).comparisons()
    return perf_counter() - started


PARTS = {
    "intervals": ("Intervals", run_intervals),
    "unlike": ("Unlike seeds", run_unlike),
    "width": ("Width by seeds", run_width),
    "certificate": ("Certificate", run_certificate),
    "advice": ("Advice", run_advice),
    "budgets": ("Budgets", run_budgets),
    "latencies": ("Swapped latencies", run_latencies),
    "knees": ("Knees", run_knees),
    "speed": ("Speed", run_speed),
}


def main() -> None:
    """Run the parts that the command line names."""
    parser = part_parser(__doc__, PARTS, "decision.md")
    parser.add_argument("--simulations", type=int, default=2000)
    run_parts(parser.parse_args(), PAGE_TITLE, PARTS)


if __name__ == "__main__":
    main()
