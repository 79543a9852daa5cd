"""Budgets: kept with confidence, and with a reason when not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resomap.analysis.decision.budgets import apply_budgets
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.latencies import Latency
from resomap.errors import ConfigError
from tests.synthetic import report_rules
from tests.unit.analysis.decision.test_choice import candidate

CLASSES = [f"class{number}" for number in range(10)]


def reason(cell: Candidate, **budgets: Any) -> str | None:
    """Return why a cell does not keep the budgets."""
    _, excluded = apply_budgets([cell], report_rules(**budgets), CLASSES)
    return excluded[0]["reason"] if excluded else None


def test_accuracy_just_above_budget_is_not_shown_to_keep_it() -> None:
    cell = candidate(48, 0.805, 2.0)
    assert reason(cell, min_accuracy=0.78) is None
    assert "is not shown to reach 0.8 (it may be 0.7" in str(reason(cell, min_accuracy=0.8))
    assert reason(cell, min_accuracy=0.9) == "validation accuracy 0.804 is below 0.9"


def test_latency_that_varies_between_rounds_needs_room() -> None:
    rounds = tuple(1 + 0.1 * np.random.default_rng(0).standard_normal(7))
    cell = replace(candidate(48, 0.9, 2.0), latency=Latency(2.0, 2.98, True, rounds))
    assert "is not shown to keep 3 ms" in str(reason(cell, max_latency_ms=3.0))
    assert reason(cell, max_latency_ms=4.0) is None


@pytest.mark.parametrize(
    ("costs", "budgets", "expected"),
    [
        ({"macs": 5e6}, {"max_macs": 4e6}, "number of MACs 5e+06 MACs is above 4e+06 MACs"),
        ({}, {"max_peak_memory_mib": 10}, "its peak memory was not measured"),
        ({"model_size_mib": 3.0}, {"max_model_size_mib": 4}, None),
        (
            {"energy_j_per_image": 0.5},
            {"max_energy_j_per_image": 0.4},
            "energy per image 0.5 J",
        ),
    ],
    ids=["macs", "not measured", "kept", "energy"],
)
def test_costs_are_compared_with_their_budgets(
    costs: dict[str, float], budgets: dict[str, float], expected: str | None
) -> None:
    found = reason(replace(candidate(48, 0.9, 2.0), costs=costs), **budgets)
    assert found is expected or (expected is not None and expected in str(found))


def test_energy_that_varies_between_rounds_needs_room() -> None:
    joules = (0.36, 0.39, 0.42)
    costs = {"energy_j_per_image": 0.39}
    cell = replace(candidate(48, 0.9, 2.0), costs=costs, energy_rounds=joules)
    reasons = [reason(cell, max_energy_j_per_image=limit) for limit in (0.4, 0.5, 0.38)]
    # Three rounds with a standard error of 4.5 %: a one-sided bound is 1.14 times the mean.
    assert reasons[0] == (
        "energy per image 0.39 J is not shown to keep 0.4 J (it may be 0.4441 J)"
    )
    assert reasons[1] is None
    assert reasons[2] == "energy per image 0.39 J is above 0.38 J"


@pytest.mark.parametrize("budget", ["max_model_size_mib", "max_macs"])
def test_counted_costs_keep_a_budget_that_they_equal(budget: str) -> None:
    costs = {"model_size_mib": 3.0, "macs": 3.0}
    cell = replace(candidate(48, 0.9, 2.0), costs=costs, energy_rounds=(1.0, 2.0, 3.0))
    assert reason(cell, **{budget: 3.0}) is None


def test_recall_of_class_is_compared_with_its_budget() -> None:
    cell = candidate(48, 1.0, 2.0, images=1000)
    cell.val.correct[48][:] = cell.val.labels != 3
    wanted = ({"name": "class3", "recall": 0.9},)
    assert reason(cell, min_recall=wanted) == "recall of class3 0.000 is below 0.9"
    assert reason(cell, min_recall=({"name": "class4", "recall": 0.9},)) is None


def test_unknown_class_is_named_with_a_similar_one() -> None:
    with pytest.raises(ConfigError, match="no class is called 'clas3'; did you mean class3"):
        reason(candidate(48, 0.9, 2.0), min_recall=({"name": "clas3", "recall": 0.9},))


def test_balanced_accuracy_weighs_classes_equally() -> None:
    cell = candidate(48, 1.0, 2.0, images=1000)
    labels = (np.arange(1000) % 10 == 0).astype(int)
    cell = replace(cell, val=replace(cell.val, labels=labels))
    cell.val.correct[48][:, labels == 1] = False
    found = reason(cell, min_balanced_accuracy=0.8)
    assert found is not None
    assert "balanced accuracy 0.49" in found or "balanced accuracy 0.50" in found


def test_failed_seeds_exclude_unless_allowed() -> None:
    cell = replace(candidate(48, 0.9, 2.0), failed_seeds=1)
    assert reason(cell) == "1 of 4 seeds diverged or did not fit in memory"
    assert reason(cell, max_failed_seeds=1) is None


def test_evidence_is_compared_with_its_budgets() -> None:
    cell = replace(candidate(48, 0.9, 2.0), alarm="fires", localisation=0.2)
    assert reason(cell, alarms="forbidden") == "the alarm about its evidence fires"
    assert reason(cell) is None
    assert "localisation is not shown to reach 0.3" in str(reason(cell, min_localisation=0.3))
    unknown = replace(cell, localisation=None)
    assert reason(unknown, min_localisation=0.3) == "its localisation was not measured"


def test_few_images_all_right_do_not_show_a_balanced_accuracy_near_one() -> None:
    cell = candidate(48, 1.0, 2.0, seeds=(0,), images=100)
    cell.val.correct[48][:] = True
    found = str(reason(cell, min_balanced_accuracy=0.99))
    assert found == "balanced accuracy 1.000 is not shown to reach 0.99 (it may be 0.974)"
    assert reason(cell, min_balanced_accuracy=0.95) is None


def test_evidence_that_was_not_examined_is_not_free_of_alarms() -> None:
    cell = candidate(48, 0.9, 2.0)
    assert reason(cell, alarms="forbidden") == "its evidence was not examined"
    assert reason(replace(cell, alarm="silent"), alarms="forbidden") is None
