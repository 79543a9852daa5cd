import numpy as np
import pytest

from resomap.analysis.power import Plan, plan
from resomap.analysis.statistics import compute_spread


def a_plan(**changes: float) -> Plan:
    return Plan(
        **{
            "between": 1e-4,
            "alone": 0.05,
            "shared": 0.02,
            "seeds": 2,
            "pictures": 400,
            "df": 5.0,
            **changes,
        }
    )  # type: ignore[arg-type]


def test_more_pictures_find_smaller_differences() -> None:
    assert a_plan().detectable(2, 4000, 0.05) < a_plan().detectable(2, 400, 0.05)


def test_more_seeds_find_smaller_differences() -> None:
    assert a_plan().detectable(20, 400, 0.05) < a_plan().detectable(5, 400, 0.05)


def test_the_numbers_proposed_are_enough() -> None:
    seeds, pictures = (
        a_plan().seeds_needed(0.03, 0.05),
        a_plan(between=0.0).pictures_needed(0.02, 0.05),
    )
    assert seeds and a_plan().detectable(seeds, 400, 0.05) <= 0.03
    assert pictures and a_plan(between=0.0).detectable(2, pictures, 0.05) <= 0.02


def test_what_no_affordable_number_would_find_is_not_proposed() -> None:
    assert a_plan().seeds_needed(1e-6, 0.05) is None
    assert a_plan().pictures_needed(1e-6, 0.05) is None


def test_one_seed_says_nothing_about_how_many_are_needed() -> None:
    difference = np.random.default_rng(0).integers(-1, 2, (1, 100)).astype(float)
    assert plan(compute_spread(difference), None).seeds_needed(0.1, 0.05) is None


def test_the_parts_of_a_plan_add_up_to_the_variance_at_hand() -> None:
    spread = compute_spread(
        np.random.default_rng(0).normal(0, 1, (4, 50)) + np.array([[0], [1], [2], [3]])
    )
    parts = plan(spread, None)
    assert parts.between + parts.alone / 50 == pytest.approx(spread.seed_variance)
