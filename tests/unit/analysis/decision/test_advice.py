"""Advice: the whole decision simulated with more seeds or images."""

from dataclasses import replace

import numpy as np
import pytest

from resomap.analysis.decision.advice import (
    SEEDS_FOR_IMAGES,
    Advice,
    FutureSweep,
    Simulation,
    advise,
)
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.comparison import Ranking, rank_candidates
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell, Predictions


def candidate(number: int, seeds: int, difficulty: list[np.ndarray], luck: float) -> Candidate:
    """Build a cell of accuracy .8 whose networks differ by luck, on images of both splits."""
    rng = np.random.default_rng(number)
    threshold = 1.19 + rng.normal(0, luck, (seeds, 1))
    cell, both = Cell("custom", "net", 8 * (number + 1)), []
    for hard in difficulty:
        correct = hard + rng.normal(0, 1, (seeds, len(hard))) < threshold
        labels = np.arange(len(hard)) % 10
        both.append(
            Predictions(
                cell, tuple(range(seeds)), labels, {cell.resolution: correct}, correct * np.nan
            )
        )
    return Candidate(*both, Latency(1.0 + number, 1.0 + number, True))


def ranking(seeds: int = 2, images: int = 200, luck: float = 0.05, cells: int = 4) -> Ranking:
    """Compare equal cells."""
    rng = np.random.default_rng(0)
    difficulty = [rng.normal(0, 1, images), rng.normal(0, 1, 2 * images)]
    equal = [candidate(number, seeds, difficulty, luck) for number in range(cells)]
    return rank_candidates(equal, 0.02, 0.95)


def test_more_data_settle_more_sweeps() -> None:
    lucky, alike = Simulation(ranking()), Simulation(ranking(seeds=5, luck=0.0))
    by_seeds = [lucky.settles(FutureSweep(seeds)) for seeds in (3, 8, 20)]
    by_images = [alike.settles(FutureSweep(5, factor)) for factor in (1.5, 10, 100)]
    assert by_seeds == sorted(by_seeds)
    assert by_images == sorted(by_images)
    assert by_images[-1] > 0.8


def test_proposed_images_are_enough_in_four_of_five() -> None:
    undecided = ranking(seeds=5, images=300, luck=0.0)
    advice = advise(undecided)
    assert advice.more_images is not None
    factor = 1 + advice.more_images / undecided.test.images
    assert Simulation(undecided).settles(FutureSweep(5, factor)) > 0.7


def test_one_seed_gives_no_number() -> None:
    assert advise(ranking(seeds=1)) == Advice(more_seeds=None, more_images=None)


def test_luck_of_seeds_makes_images_useless() -> None:
    assert advise(ranking(luck=0.4)).more_images is None


def test_same_data_give_same_advice() -> None:
    assert advise(ranking()) == advise(ranking())


def test_worse_cells_share_the_level_as_in_the_decision() -> None:
    undecided = ranking(seeds=3, images=400)
    simulation = Simulation(undecided)
    best = undecided.best
    # The data at hand, once per draw: the simulation has to repeat the decision.
    val = np.tile(undecided.val.means, (len(simulation.draws.accuracy), 1))
    for margin in (-0.02, -0.01, 0.0, 0.02):
        simulation.ranking = replace(undecided, margin=margin)
        verdicts = [one for one in simulation.ranking.comparisons() if one.cheaper]
        expected = all(one.verdict == "worse" for one in verdicts)
        found = simulation._cheaper_are_worse(val, np.full(len(val), best), FutureSweep(3))
        assert (found == expected).all()


@pytest.mark.parametrize("seeds", [2, SEEDS_FOR_IMAGES - 1])
def test_few_seeds_propose_no_images(seeds: int) -> None:
    assert advise(ranking(seeds=seeds, images=300, luck=0.0)).more_images is None
