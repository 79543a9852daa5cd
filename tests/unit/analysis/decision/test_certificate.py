"""The certificate: its sequence, its tests, and the luck that it subtracts."""

import numpy as np
import pytest

from resomap.analysis.decision.certificate import (
    Certificate,
    certify,
    expected_luck,
    expected_maximum,
    promising_sequence,
)
from resomap.analysis.decision.contrasts import Contrasts, contrast_cells

CHEAPER = np.triu(np.ones((3, 3), bool), 1)
"""Cells in the order of their cost."""


def contrasts(*accuracies: float, images: int = 4000) -> Contrasts:
    """Compare cells whose three networks are right on the same images, but for a few."""
    rng = np.random.default_rng(0)
    cells = []
    for accuracy in accuracies:
        right = np.tile(np.arange(images) < accuracy * images, (3, 1))
        cells.append(right ^ (rng.random((3, images)) < 0.002))
    return contrast_cells(cells, [(0, 1, 2)] * len(cells))


def certificate(val: Contrasts, test: Contrasts | None, margin: float = 0.02) -> Certificate:
    ranks = [(mean,) for mean in val.means]
    return certify(val, test, ranks, CHEAPER, margin, 0.05)


def test_cheapest_within_margin_is_certified() -> None:
    both = contrasts(0.945, 0.948, 0.95)
    result = certificate(both, both)
    assert (result.sequence, result.certified) == ((2, 1, 0), 0)


def test_first_failure_ends_sequence() -> None:
    val, test = contrasts(0.947, 0.948, 0.95), contrasts(0.95, 0.9, 0.95)
    assert certificate(val, test).certified == 2


def test_failing_best_leaves_nothing_certified() -> None:
    result = certificate(contrasts(0.7, 0.8, 0.95), contrasts(0.95, 0.9, 0.9))
    assert (result.certified, result.successes) == (None, ())


def test_only_cheaper_cells_follow_in_sequence() -> None:
    # The cheapest is the most accurate.
    assert promising_sequence([(3,), (2,), (1,)], CHEAPER) == (0,)
    assert promising_sequence([(1,), (3,), (2,)], CHEAPER) == (1, 0)


def test_without_test_images_all_cells_share_the_error() -> None:
    val = contrasts(0.937, 0.9375, 0.95, images=2500)
    on_val, on_test = certificate(val, None), certificate(val, val)
    assert (on_val.split, on_test.split) == ("val", "test")
    # Three cells share the level, so the bounds are wider.
    assert (on_val.shown_within[:2] > on_test.shown_within[:2]).all()


def test_luck_grows_with_number_of_contenders() -> None:
    rng = np.random.default_rng(0)

    def equal_cells(count: int) -> Contrasts:
        difficulty = rng.normal(0, 1, 2000)
        cells = [
            difficulty + rng.normal(0, 1, (2, 2000)) + rng.normal(0, 0.1, (2, 1)) < 1.19
            for _ in range(count)
        ]
        return contrast_cells(cells, [(0, 1)] * count)

    luck = []
    for count in (2, 12):
        both = equal_cells(count)
        cheaper = np.triu(np.ones((count, count), bool), 1)
        luck.append(np.median(expected_luck(both, both, count - 1, cheaper)))
    assert 0 < luck[0] < luck[1]


def test_one_seed_has_no_known_luck() -> None:
    rng = np.random.default_rng(0)
    cells = [rng.random((1, 500)) < 0.8 for _ in range(3)]
    both = contrast_cells(cells, [(0,)] * 3)
    assert not expected_luck(both, both, 2, CHEAPER).any()


def test_expected_maximum_of_normal_values() -> None:
    drawn = np.random.default_rng(0).standard_normal((20_000, 14)).max(axis=1).mean()
    assert expected_maximum(np.array([1, 2, 14])) == pytest.approx(
        [0, 1 / np.sqrt(np.pi), drawn], abs=0.03
    )
