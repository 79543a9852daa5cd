import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.analysis.answers import Answers, Cell
from resomap.analysis.choose import choose
from resomap.analysis.compare import Candidate, Cost
from resomap.config.schema import Report


@st.composite
def sweeps(draw: st.DrawFn) -> list[Candidate]:
    """A few cells of one to three seeds, whose latency grows with resolution."""
    seeds, rng = draw(st.integers(1, 3)), np.random.default_rng(draw(st.integers(0, 2**31)))
    accuracies = draw(st.lists(st.floats(0.5, 1), min_size=1, max_size=4))
    candidates = []
    for number, accuracy in enumerate(accuracies):
        cell, shape = Cell("custom", "net", 24 * (number + 1)), (seeds, 150)
        val, test = (
            Answers(
                cell,
                tuple(range(seeds)),
                np.zeros(150, int),
                {cell.resolution: rng.random(shape) < accuracy},
                np.full(shape, np.nan),
            )
            for _ in range(2)
        )
        candidates.append(Candidate(val, test, Cost(1.0 + number, 2.0 + number, valid=True)))
    return candidates


def rules(margin: float = 0.05) -> Report:
    return Report(margin=margin, confidence=0.9, max_latency_ms=None, min_accuracy=None)


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_the_order_of_the_cells_does_not_matter(candidates: list[Candidate]) -> None:
    assert (
        choose(candidates, rules())["headline"] == choose(candidates[::-1], rules())["headline"]
    )


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_the_choice_never_costs_more_than_the_best(candidates: list[Candidate]) -> None:
    made = choose(candidates, rules())
    assert made["choice"]["latency_ms_p50"] <= made["best"]["latency_ms_p50"]


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_a_wider_margin_never_makes_the_choice_dearer(candidates: list[Candidate]) -> None:
    strict, lax = (choose(candidates, rules(margin))["choice"] for margin in (0.02, 0.1))
    assert lax["latency_ms_p50"] <= strict["latency_ms_p50"]


@settings(deadline=None, max_examples=40)
@given(sweeps())
def test_what_is_chosen_is_shown_within_the_margin(candidates: list[Candidate]) -> None:
    made = choose(candidates, rules())
    if made["status"] == "chosen":
        assert made["regret"]["at_most"] <= 0.05


def test_of_two_open_cells_that_are_equally_accurate_the_cheaper_is_asked_about_in_any_order() -> (
    None
):
    rng, candidates = np.random.default_rng(0), []
    for number, right in enumerate((144, 144, 150)):
        cell = Cell("custom", "net", 24 * (number + 1))
        correct = np.stack([rng.permutation(150) < right for _ in range(2)])
        answers = Answers(
            cell,
            (0, 1),
            np.zeros(150, int),
            {cell.resolution: correct},
            np.full((2, 150), np.nan),
        )
        candidates.append(
            Candidate(answers, answers, Cost(1.0 + number, 2.0 + number, valid=True))
        )
    needed = [choose(order, rules())["needed"] for order in (candidates, candidates[::-1])]
    assert needed[0] == needed[1]
    assert needed[0]["resolution"] == 24
