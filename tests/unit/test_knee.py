import numpy as np

from resomap.analysis.knee import Knee, find_knee


def right(share: float, seeds: int = 2, pictures: int = 1000) -> np.ndarray:
    return np.tile(np.arange(pictures) < share * pictures, (seeds, 1))


def test_the_knee_is_a_bracket_between_resolutions_that_were_run() -> None:
    assert find_knee({24: right(0.7), 48: right(0.95), 96: right(0.951)}, 0.02, 0.95) == Knee(
        24, 48, 96, ""
    )


def test_a_plateau_from_the_start_is_censored_below() -> None:
    assert find_knee({24: right(0.95), 48: right(0.951)}, 0.02, 0.95) == Knee(
        None, 24, 48, "below"
    )


def test_a_curve_still_rising_at_the_end_is_censored_above() -> None:
    assert find_knee({24: right(0.7), 48: right(0.8), 96: right(0.95)}, 0.02, 0.95) == Knee(
        48, 96, 96, "above"
    )


def test_one_resolution_shows_no_knee() -> None:
    assert find_knee({24: right(0.7)}, 0.02, 0.95) == Knee(None, 24, 24, "both")


def test_few_pictures_widen_the_bracket_instead_of_guessing() -> None:
    curve = {24: right(0.5, 1, 20), 48: right(0.9, 1, 20), 96: right(0.95, 1, 20)}
    assert find_knee(curve, 0.02, 0.95) == Knee(24, 96, 96, "above")


def test_a_dip_inside_the_plateau_does_not_move_the_knee() -> None:
    curve = {24: right(0.6), 32: right(0.95), 36: right(0.7), 48: right(0.95)}
    assert find_knee(curve, 0.02, 0.95) == Knee(24, 32, 32, "")
