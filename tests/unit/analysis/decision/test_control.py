"""The A/A control: cells compared with themselves."""

import numpy as np

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.control import control_record
from resomap.analysis.predictions import Cell, Predictions


def candidate(seeds: int, unlike: bool = False) -> Candidate:
    """Build a cell of equal networks, or one whose second half of the seeds is worse."""
    correct = np.random.default_rng(seeds).random((seeds, 600)) < 0.8
    if unlike:
        correct[seeds // 2 :] &= (
            np.random.default_rng(1).random((seeds - seeds // 2, 600)) < 0.6
        )
    cell = Cell("custom", "net", 24)
    labels = np.zeros(600, int)
    both = Predictions(cell, tuple(range(seeds)), labels, {24: correct}, correct * np.nan)
    return Candidate(both, both, None)


def test_too_few_seeds_have_no_control() -> None:
    assert control_record([candidate(3)], 0.95) is None


def test_equal_networks_are_not_found_to_differ() -> None:
    record = control_record([candidate(4) for _ in range(5)], 0.95)
    assert record is not None
    assert (record["comparisons"], record["n_seeds"], record["differences"]) == (5, 2, 0)
    assert np.isclose(record["expected"], 0.25)


def test_false_difference_is_counted() -> None:
    cells = [candidate(8) for _ in range(5)]
    record = control_record([*cells, candidate(8, unlike=True)], 0.95)
    assert record is not None
    assert record["differences"] == 1
