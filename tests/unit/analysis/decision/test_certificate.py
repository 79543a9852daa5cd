"""The certificate: its sequence, its tests, and the luck that it subtracts."""

import numpy as np

from resomap.analysis.decision.certificate import (
    Certificate,
    certify,
    expected_luck,
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


def equal_cells(count: int, luck: float, images: int = 2000) -> tuple[Contrasts, Contrasts]:
    """Compare equally accurate cells whose two networks differ by luck, on both splits."""
    rng = np.random.default_rng(0)
    thresholds = 1.19 + rng.normal(0, luck, (count, 2, 1))
    splits = []
    for _ in range(2):
        difficulty = rng.normal(0, 1, images) + rng.normal(0, 1, (count, 2, images))
        splits.append(contrast_cells(list(difficulty < thresholds), [(0, 1)] * count))
    return splits[0], splits[1]


def test_lead_of_lucky_seeds_is_subtracted() -> None:
    val, test = equal_cells(12, luck=0.1)
    cheaper = np.triu(np.ones((12, 12), bool), 1)
    best = int(val.means.argmax())
    luck = expected_luck(val, test, 11, cheaper)
    lead = val.means[best] - np.median(val.means)
    # Part of its lead, and nothing from a cell that does not lead.
    assert 0.2 * lead < np.median(luck[best]) < 0.9 * lead
    assert not luck[int(val.means.argmin())].any()


def test_lead_without_luck_of_seeds_is_kept() -> None:
    cheaper = np.triu(np.ones((12, 12), bool), 1)
    lucky, alike = (
        np.median(expected_luck(*equal_cells(12, luck), 11, cheaper).max(axis=0))
        for luck in (0.1, 0.0)
    )
    assert alike < 0.5 * lucky


def test_only_best_and_cheaper_cells_contend() -> None:
    val, test = equal_cells(3, luck=0.1)
    # Nothing costs less than the first, so it leads over nobody.
    assert not expected_luck(val, test, 0, CHEAPER)[0].any()


def test_one_seed_has_no_known_luck() -> None:
    rng = np.random.default_rng(0)
    cells = [rng.random((1, 500)) < 0.8 for _ in range(3)]
    both = contrast_cells(cells, [(0,)] * 3)
    assert not expected_luck(both, both, 2, CHEAPER).any()
