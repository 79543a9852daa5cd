"""Candidates: which one is shown to cost less."""

from dataclasses import replace

import numpy as np

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.comparison import cheaper_candidates
from resomap.analysis.decision.latencies import Latency
from tests.unit.analysis.decision.test_choice import candidate


def timed(resolution: int, *rounds: float, model: str = "net") -> Candidate:
    """Build a cell with these rounds of measuring."""
    cell = candidate(resolution, 0.9, 1.0)
    val = replace(cell.val, cell=cell.cell._replace(model=model))
    median = float(np.median(rounds))
    return replace(cell, val=val, latency=Latency(median, median, True, rounds))


def test_overlapping_latencies_show_nothing() -> None:
    cells = [timed(24, 1.0, 1.1, 0.9, 1.05, 0.95), timed(48, 1.02, 0.99, 1.08, 0.97, 1.0)]
    assert not cheaper_candidates(cells, 0.95).any()


def test_rounds_of_one_model_are_paired() -> None:
    drift = np.array([1.0, 1.5, 2.0, 1.2, 1.7])
    slower = 1.05 * drift * np.exp([0.001, -0.001, 0.002, 0.0, 0.001])
    paired = [timed(24, *drift), timed(48, *slower)]
    apart = [timed(24, *drift), timed(48, *slower, model="other")]
    assert cheaper_candidates(paired, 0.95).tolist() == [[False, True], [False, False]]
    assert not cheaper_candidates(apart, 0.95).any()


def test_models_are_compared_by_their_own_rounds() -> None:
    cells = [timed(24, 1.0, 1.01, 0.99), timed(24, 2.0, 2.02, 1.97, model="other")]
    assert cheaper_candidates(cells, 0.95).tolist() == [[False, True], [False, False]]


def test_medians_decide_without_rounds() -> None:
    cells = [candidate(24, 0.9, 1.0), candidate(48, 0.9, 1.1), candidate(96, 0.9, None)]
    cheaper = cheaper_candidates(cells, 0.95)
    assert cheaper[0, 1]
    assert not cheaper[2].any()
    assert not cheaper[:, 2].any()
