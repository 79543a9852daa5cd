"""The knee: its bracket and what the sweep leaves open."""

import numpy as np

from resomap.analysis.knee import Knee, find_knee


def right(share: float, seeds: int = 2, images: int = 1000) -> np.ndarray:
    return np.tile(np.arange(images) < share * images, (seeds, 1))


def test_knee_is_bracket_between_run_resolutions() -> None:
    curve = {24: right(0.7), 48: right(0.95), 96: right(0.951)}
    assert find_knee(curve, 0.02, 0.95) == Knee(24, 48, 96, "")


def test_plateau_from_start_is_censored_below() -> None:
    curve = {24: right(0.95), 48: right(0.951)}
    assert find_knee(curve, 0.02, 0.95) == Knee(None, 24, 48, "below")


def test_rising_curve_is_censored_above() -> None:
    curve = {24: right(0.7), 48: right(0.8), 96: right(0.95)}
    assert find_knee(curve, 0.02, 0.95) == Knee(48, 96, 96, "above")


def test_one_resolution_shows_no_knee() -> None:
    assert find_knee({24: right(0.7)}, 0.02, 0.95) == Knee(None, 24, 24, "both")


def test_few_images_widen_bracket() -> None:
    curve = {24: right(0.5, 1, 20), 48: right(0.9, 1, 20), 96: right(0.95, 1, 20)}
    assert find_knee(curve, 0.02, 0.95) == Knee(24, 96, 96, "above")


def test_dip_inside_plateau_keeps_knee() -> None:
    curve = {24: right(0.6), 32: right(0.95), 36: right(0.7), 48: right(0.95)}
    assert find_knee(curve, 0.02, 0.95) == Knee(24, 32, 32, "")
