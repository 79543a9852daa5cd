"""Power of a comparison: detectable differences, and what would decide it."""

import numpy as np
import pytest

from resomap.analysis.power import PowerPlan, plan_power
from resomap.analysis.statistics import compute_spread


def make_plan(between: float = 1e-4) -> PowerPlan:
    return PowerPlan(between, alone=0.05, shared=0.02, seeds=2, images=400, df=5.0)


def test_more_images_detect_smaller_differences() -> None:
    assert make_plan().detectable(2, 4000, 0.05) < make_plan().detectable(2, 400, 0.05)


def test_more_seeds_detect_smaller_differences() -> None:
    assert make_plan().detectable(20, 400, 0.05) < make_plan().detectable(5, 400, 0.05)


def test_proposed_numbers_are_enough() -> None:
    seeds = make_plan().seeds_needed(0.03, 0.05)
    images = make_plan(between=0.0).images_needed(0.02, 0.05)
    assert seeds is not None and images is not None
    assert make_plan().detectable(seeds, 400, 0.05) <= 0.03
    assert make_plan(between=0.0).detectable(2, images, 0.05) <= 0.02


def test_unaffordable_numbers_are_not_proposed() -> None:
    assert make_plan().seeds_needed(1e-6, 0.05) is None
    assert make_plan().images_needed(1e-6, 0.05) is None


def test_one_seed_proposes_no_number_of_seeds() -> None:
    difference = np.random.default_rng(0).integers(-1, 2, (1, 100)).astype(float)
    assert plan_power(compute_spread(difference), None).seeds_needed(0.1, 0.05) is None


def test_plan_components_add_up_to_seed_variance() -> None:
    values = np.random.default_rng(0).normal(0, 1, (4, 50)) + np.arange(4)[:, None]
    spread = compute_spread(values)
    plan = plan_power(spread, None)
    assert plan.between + plan.alone / 50 == pytest.approx(spread.seed_variance)
