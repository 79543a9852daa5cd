"""What a sweep can show before any training."""

from dataclasses import replace

import pytest

from resomap.analysis.decision.outlook import SweepSize, foresee
from resomap.report.text.outlook import describe_outlook
from tests.synthetic import report_rules

SIZE = SweepSize(cells=15, seeds=3, val=2000, test=2000)


def test_typical_sweep_detects_about_two_points() -> None:
    outlook = foresee(SIZE, 0.02, 0.95)
    assert 0.015 < outlook.detectable < 0.03
    # The benchmark certifies about .7 of its sweeps of this size.
    assert 0.5 < outlook.answered < 0.95


@pytest.mark.parametrize("larger", [{"seeds": 5}, {"test": 10_000}])
def test_larger_sweeps_show_more(larger: dict[str, int]) -> None:
    before = foresee(SIZE, 0.02, 0.95)
    after = foresee(replace(SIZE, **larger), 0.02, 0.95)
    assert after.detectable < before.detectable
    assert after.answered > before.answered


def test_wider_margin_is_answered_more_often() -> None:
    assert foresee(SIZE, 0.04, 0.95).answered > foresee(SIZE, 0.02, 0.95).answered


def test_plan_warns_when_differences_of_margin_stay_unseen() -> None:
    few = replace(SIZE, seeds=2, val=100, test=100)
    assert "warning: this is more than the margin" in describe_outlook(few, report_rules())[-1]
    large = SweepSize(4, 10, 20_000, 20_000)
    assert len(describe_outlook(large, report_rules())) == 2
