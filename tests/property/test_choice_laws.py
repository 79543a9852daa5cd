"""Laws of the choice, over random sweeps."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell, Predictions
from resomap.config.report import CONFOUNDS, Report
from tests.synthetic import report_rules

IMAGES = 150


def predictions(number: int, correct: np.ndarray) -> Predictions:
    """Build the predictions of one of several cells of growing resolution."""
    cell = Cell("custom", "net", 24 * (number + 1))
    seeds, no_pairs = tuple(range(len(correct))), np.full(correct.shape, np.nan)
    labels = np.arange(IMAGES) % 10
    return Predictions(cell, seeds, labels, {cell.resolution: correct}, no_pairs)


def latency(number: int) -> Latency:
    return Latency(1.0 + number, 2.0 + number, valid=True)


@st.composite
def sweeps(draw: st.DrawFn) -> list[Candidate]:
    """Draw a few cells of one to three seeds, whose latency grows with resolution."""
    seeds, rng = draw(st.integers(1, 3)), np.random.default_rng(draw(st.integers(0, 2**31)))
    accuracies = draw(st.lists(st.floats(0.5, 1), min_size=1, max_size=4))
    candidates = []
    for number, accuracy in enumerate(accuracies):
        val, test = (
            predictions(number, rng.random((seeds, IMAGES)) < accuracy) for _ in range(2)
        )
        candidates.append(Candidate(val, test, latency(number)))
    return candidates


def rules(margin: float = 0.05) -> Report:
    return report_rules(margin=margin, confidence=0.9)


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_order_of_cells_does_not_matter(candidates: list[Candidate]) -> None:
    first, second = choose(candidates, rules()), choose(candidates[::-1], rules())
    for name in ("status", "best", "choice", "runner_up", "needed", "regret"):
        assert first[name] == second[name]


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_choice_costs_no_more_than_best(candidates: list[Candidate]) -> None:
    choice = choose(candidates, rules())
    assert choice["choice"]["latency_ms_p50"] <= choice["best"]["latency_ms_p50"]


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_wider_margin_never_costs_more(candidates: list[Candidate]) -> None:
    strict, lax = (choose(candidates, rules(margin))["choice"] for margin in (0.02, 0.1))
    assert lax["latency_ms_p50"] <= strict["latency_ms_p50"]


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_chosen_cell_is_shown_within_margin(candidates: list[Candidate]) -> None:
    choice = choose(candidates, rules())
    if choice["status"] == "chosen":
        assert choice["regret"]["at_most"] <= 0.05


@settings(deadline=None, max_examples=40)
@given(sweeps(), st.data())
def test_confound_never_certifies_more(
    candidates: list[Candidate], data: st.DataObject
) -> None:
    names = st.sampled_from(CONFOUNDS)
    accepted = tuple(data.draw(st.sets(names, max_size=2)))
    planted = [
        replace(
            one,
            facts={
                seed: {name: data.draw(st.integers(0, 1)) for name in data.draw(st.sets(names))}
                for seed in one.val.seeds
            },
        )
        for one in candidates
    ]
    free = choose(candidates, rules())
    some, most = (
        choose(planted, rules().model_copy(update={"accept_confounds": each}))
        for each in (accepted, CONFOUNDS)
    )
    assert most["certified"] == free["certified"]
    assert some["certified"] in (None, free["certified"])
    if all(one["accepted"] for one in some["confounds"]):
        assert some["certified"] == free["certified"]


def test_cheaper_of_equally_accurate_open_cells_is_needed() -> None:
    rng, candidates = np.random.default_rng(0), []
    for number, right in enumerate((144, 144, 150)):
        correct = np.stack([rng.permutation(IMAGES) < right for _ in range(2)])
        both = predictions(number, correct)
        candidates.append(Candidate(both, both, latency(number)))
    needed = [choose(order, rules())["needed"] for order in (candidates, candidates[::-1])]
    assert needed[0] == needed[1]
    assert needed[0]["resolution"] == 24
