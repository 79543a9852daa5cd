"""The share of the error that each look at a growing sweep may spend."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from resomap.analysis.decision.looks import ONE_LOOK, RESERVE, error_shares, read_looks


@given(st.integers(1, 30), st.floats(0.001, 0.5))
def test_shares_add_up_to_the_error_without_the_reserve(rounds, error):
    shares = error_shares(rounds, error)
    assert len(shares) == rounds
    assert sum(shares) == pytest.approx(1 - RESERVE)
    assert min(shares) >= 0


def test_nothing_is_spent_on_the_first_seed_of_several():
    assert error_shares(1, 0.05) == pytest.approx([1 - RESERVE])
    assert error_shares(5, 0.05)[0] == 0


def test_shares_are_the_steps_of_the_spending_function():
    # Lan and DeMets (1983), for a one-sided level: 2 - 2 F(z / sqrt(t)), z of half the level.
    spent = 2 * stats.norm.sf(stats.norm.isf(0.025) / (3 / 5) ** 0.5) / 0.05 * (1 - RESERVE)
    assert sum(error_shares(5, 0.05)[:3]) == pytest.approx(spent)


def record(*rounds: tuple[int, str | None, float]) -> dict[str, Any]:
    return {
        "end": None,
        "rounds": [
            {"runs": [["custom", "tiny_cnn", 24, n] for n in range(runs)], "status": status}
            | {"error_share": share}
            for runs, status, share in rounds
        ],
    }


@pytest.mark.parametrize(
    ("rounds", "ended", "share"),
    [
        ([(4, "undecided", 0.0)], 4, RESERVE),  # nothing was tested yet
        ([(4, "undecided", 0.0), (3, "chosen", 0.3)], 7, 0.3),
        ([(4, "undecided", 0.0), (3, "chosen", 0.3)], 12, 0.7),  # the grid was completed
        ([(4, "undecided", 0.0), (3, "chosen", 0.3), (2, None, 0.0)], 8, 0.3),  # it runs
    ],
)
def test_look_spends_its_share_and_a_completed_grid_the_rest(tmp_path, rounds, ended, share):
    (tmp_path / "rounds.json").write_text(json.dumps(record(*rounds)))
    assert read_looks(tmp_path, ended).error_share == pytest.approx(share)


def test_sweep_without_rounds_has_one_look(tmp_path):
    assert read_looks(tmp_path, 12) == ONE_LOOK
