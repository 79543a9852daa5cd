"""The majority class as the baseline of every accuracy."""

import pandas as pd
import pytest

from resomap.analysis.findings.accuracy import accuracy_of_models, most_accurate_model
from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.findings.limits import nothing_learned

NO_KNEES = pd.DataFrame(columns=["model", "group", "censored"])


def cells(*lows: float, models: tuple[str, ...] = ("net",)) -> pd.DataFrame:
    """Return cells whose majority class scores 0.3, by the lower ends of their intervals."""
    rows = []
    for number, low in enumerate(lows):
        ends = {"accuracy": low + 0.2, "accuracy_low": low, "accuracy_high": low + 0.4}
        row = {"model": models[number % len(models)], "resolution": 16 * (number + 1), **ends}
        rows.append(row | {"n_seeds": 1, "n_test": 40, "majority_accuracy": 0.3})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("lows", "state", "above"),
    [((0.1, 0.3), "not beaten", 0), ((0.1, 0.31), "beaten", 1)],
    ids=["interval ends at it", "interval lies above it"],
)
def test_baseline_counts_cells_above_it(
    lows: tuple[float, ...], state: str, above: int
) -> None:
    finding = majority_baseline(cells(*lows))
    assert finding.state == state
    assert finding.numbers["majority"][::3] == (0.3, 40)
    assert finding.numbers["cells_above"][::3] == (above, 2)


def test_baseline_without_finished_run_is_unknown() -> None:
    assert majority_baseline(cells(0.1).assign(n_seeds=0)).state == "unknown"


def test_model_below_majority_class_has_no_knee() -> None:
    finding, other = accuracy_of_models(cells(0.1, 0.4, models=("a", "b")), NO_KNEES)
    assert (finding.state, other.state) == ("not learned", "unknown")
    assert "margin" not in finding.numbers


def test_model_that_learned_comes_before_a_lucky_one() -> None:
    wide = cells(0.1, 0.4, models=("a", "b"))
    wide.loc[0, "accuracy"] = 0.9
    best = most_accurate_model(accuracy_of_models(wide, NO_KNEES))
    assert best is not None
    assert best.subject["model"] == "b"


def test_nothing_learned_is_a_limit() -> None:
    assert len(nothing_learned(cells(0.1, 0.2))) == 1
    assert nothing_learned(cells(0.1, 0.4)) == []
