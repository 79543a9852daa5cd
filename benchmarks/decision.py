"""How often the choice is right and reached: simulated sweeps of which the truth is known.

`python -m benchmarks.decision all` writes decision.md, in less than 25 minutes of one core. Seeds
are fixed, and each part can be run alone.
"""

from argparse import Namespace
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.decision_trials import (
    LEVEL,
    CertificateCounts,
    Cover,
    Rate,
    budgets_kept,
    count_certificates,
    cover,
    follow_advice,
    knees_right,
    outside,
    outside_of_middle,
    swapped_latencies,
    time_decision,
)
from benchmarks.decision_worlds import SEED_SD
from benchmarks.harness import markdown, part_parser, run_parts
from resomap.analysis.decision.advice import SEEDS_FOR_IMAGES

PAGE_TITLE = "# The decision\n\nSimulated sweeps of which the truth is known. Written by `python -m benchmarks.decision all`."


SIZES = ((2, 400), (3, 2000), (5, 2000))


POWER_BARS = (0.27, 0.40, 0.55)


SETTLED_BAR = 0.75


def verdict(kept: bool) -> str:
    """Return how the table says whether a bar is kept."""
    return "kept" if kept else "MISSED"


def run_intervals(options: Namespace, work: Path) -> str:
    """Simulate twelve equal cells."""
    rows = list(interval_rows(options.draws))
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
        f"Twelve equal cells, {options.draws} sweeps a row. Covered: share of 95 % intervals that "
        "hold the truth (bar .93 to .97). Width: over that of an interval with a known variance "
        "(bar 1.3). At an accuracy of .99, 400 images hold four errors: two more disagreements "
        "that may have been missed (`unseen`) make the intervals of differences too wide there."
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
    draws, rows = options.draws, []
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
    note = (
        f"Coverage of the worst of twelve cells and of the worst of 66 differences (bar .90), "
        f"{draws} sweeps a row. Where accuracies say nothing about unlike variances, as in the "
        "last kind, two or three seeds of one cell cannot either."
    )
    return f"{note}\n\n{markdown(head, rows)}"


def run_width(options: Namespace, work: Path) -> str:
    """Compare mean widths of intervals by the number of seeds."""
    rows = []
    for images in (400, 2000):
        widths = [
            cover(np.full(12, 0.8), SEED_SD, seeds, images, options.draws).mean_width
            for seeds in range(2, 7)
        ]
        kept = all(after <= before * 1.01 for before, after in pairwise(widths))
        rows.append((images, *(f"{100 * width:.2f}" for width in widths), verdict(kept)))
    note = (
        "Mean width in points of the interval of an accuracy of .8, by the number of seeds; "
        f"{options.draws} sweeps each."
    )
    return f"{note}\n\n{markdown(('n', *map(str, range(2, 7)), 'bar'), rows)}"


UNLIKE_SEEDS = np.where(np.arange(15) % 2, 0.005, 0.03)


def run_certificate(options: Namespace, work: Path) -> str:
    """Simulate the prior of grids, and 14 cells just outside of the margin."""
    rows, draws = [], options.simulations
    for (seeds, images), bar in zip(SIZES, POWER_BARS, strict=True):
        found = count_certificates(seeds, images, draws)
        rows.append(_certificate_row("prior", seeds, images, found, bar))
    for name, world in OUTSIDE.items():
        for seeds, images in SIZES:
            found = count_certificates(seeds, images, draws, world)
            rows.append(_certificate_row(name, seeds, images, found))
    for seeds in (2, 3, 5):
        found = count_certificates(seeds, 2000, draws, outside, UNLIKE_SEEDS)
        rows.append(_certificate_row("outside, unlike seeds", seeds, 2000, found))
    head = (
        *("worlds", "S", "val n", "sweeps", "cheaper exists", "certified"),
        *("cheaper than the best", "than the selected", "false", "false <= 5 %", "power"),
    )
    return f"{CERTIFICATE_NOTE}\n\n{markdown(head, rows)}"


OUTSIDE = {"14 just outside": outside, "the same, best in the middle": outside_of_middle}


CERTIFICATE_NOTE = """\
3 models x 5 resolutions, 2,000 test images, margin 2 points, seed sd .7 points. `certified`: a
cell is shown on test images to lose less than the margin to every other cell. `cheaper than the
best`: it costs less than the truly most accurate cell; `than the selected`: less than the most
accurate one on validation images. `false`: it loses more than the margin. `power`: bars of .27,
.40 and .55 for a certified cell that is cheaper than the best. "Just outside": all cells but one
lose 2.01 points, and the best is the costliest or the eighth of fifteen."""


def _certificate_row(
    name: str, seeds: int, images: int, found: CertificateCounts, bar: float | None = None
) -> tuple[object, ...]:
    counts = (found.certified, found.cheaper, found.cheaper_than_selected, found.false)
    rates = [Rate(count, found.total) for count in counts]
    power = "" if bar is None else f"{verdict(rates[1].value >= bar)} ({bar:.2f})"
    return (
        *(name, seeds, images, found.total, f"{found.possible / found.total:.2f}"),
        *(f"{rate.value:.3f}" for rate in rates),
        verdict(rates[3].at_most(0.05)),
        power,
    )


def run_advice(options: Namespace, work: Path) -> str:
    """Follow the advice of undecided sweeps of two seeds, and of enough for images."""
    rows = []
    for cells, seeds in (
        (2, 2),
        (5, 2),
        (15, 2),
        (5, SEEDS_FOR_IMAGES),
        (15, SEEDS_FOR_IMAGES),
    ):
        rng = np.random.default_rng([cells, seeds])
        found = follow_advice(cells, seeds, 400, options.undecided, rng)
        by_seeds = Rate(found.settled_by_seeds, len(found.seeds))
        by_images = Rate(found.settled_by_images, len(found.images))
        kept = [rate.total == 0 or rate.at_least(SETTLED_BAR) for rate in (by_seeds, by_images)]
        numbers = median_and_quartiles(found.seeds), median_and_quartiles(found.images)
        rows.append(
            (
                cells,
                seeds,
                found.undecided,
                by_seeds,
                numbers[0],
                by_images,
                numbers[1],
                *map(verdict, kept),
            )
        )
    note = (
        "Undecided sweeps of 400 validation images, with the seeds or the test images of the "
        "advice added. Settled: share of those with advice (bar .75). Number: median "
        "(quartiles) of what was advised. Images are advised from five seeds on."
    )
    head = (
        *("cells", "S", "undecided", "settled by seeds", "number"),
        *("settled by images", "number"),
        *("bar of seeds", "bar of images"),
    )
    return f"{note}\n\n{markdown(head, rows)}"


def median_and_quartiles(values: list[int]) -> str:
    """Format the median with the quartiles: `4 (2-8)`."""
    if not values:
        return ""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:,.0f} ({low:,.0f}-{high:,.0f})"


def run_budgets(options: Namespace, work: Path) -> str:
    """Count how often budgets are truly kept."""
    accuracy, latency = budgets_kept(options.draws)
    rows = [
        ("min_accuracy", accuracy, verdict(accuracy.at_least(0.95))),
        ("max_latency_ms", latency, verdict(latency.at_least(0.95))),
    ]
    note = "Chosen cells that truly keep a budget (bar .95), 3 seeds, 2,000 validation images."
    return f"{note}\n\n{markdown(('budget', 'kept', 'bar'), rows)}"


def run_latencies(options: Namespace, work: Path) -> str:
    """Swap two latencies that overlap."""
    between, any_change = swapped_latencies(options.draws)
    rows = [
        ("between the two", between, verdict(between.count == 0)),
        ("any", any_change, ""),
    ]
    note = (
        "Two cells of which neither is shown to cost less, with their latencies swapped: how "
        "often a certified choice changes (bar: never between the two)."
    )
    return f"{note}\n\n{markdown(('change', 'share', 'bar'), rows)}"


def run_knees(options: Namespace, work: Path) -> str:
    """Bracket the knees of rising curves, and of curves with a dip."""
    rows = []
    for dip in (False, True):
        for seeds, images in ((2, 400), (3, 2000), (5, 10_000)):
            draws = options.draws // (1 if images < 5000 else 4)
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


PARTS = {
    "certificate": ("Certificate", run_certificate),
    "advice": ("Advice", run_advice),
    "budgets": ("Budgets", run_budgets),
    "latencies": ("Swapped latencies", run_latencies),
    "knees": ("Knees", run_knees),
    "speed": ("Speed", run_speed),
    "width": ("Width by seeds", run_width),
    "unlike": ("Unlike seeds", run_unlike),
    "intervals": ("Intervals", run_intervals),
}


def main() -> None:
    """Run the parts that the command line names."""
    parser = part_parser(__doc__, PARTS, "decision.md")
    parser.set_defaults(cores=1, rounds=1)
    # Sweeps a row of the certificate, of the other parts, and undecided ones of the advice.
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--undecided", type=int, default=500)
    run_parts(parser.parse_args(), PAGE_TITLE, PARTS)


if __name__ == "__main__":
    main()
