"""The knee: its bracket and what the sweep leaves open."""

import numpy as np
import pytest

from resomap.analysis.knee import Knee, find_knee


def right(share: float, seeds: int = 2, images: int = 1000) -> np.ndarray:
    return np.tile(np.arange(images) < share * images, (seeds, 1))


@pytest.mark.parametrize(
    ("shares", "knee"),
    [
        ({24: 0.7, 48: 0.95, 96: 0.951}, Knee(24, 48, 96, "")),
        ({24: 0.95, 48: 0.951}, Knee(None, 24, 48, "below")),
        ({24: 0.7, 48: 0.8, 96: 0.95}, Knee(48, 96, 96, "above")),
        ({24: 0.7}, Knee(None, 24, 24, "both")),
        ({24: 0.6, 32: 0.95, 36: 0.7, 48: 0.95}, Knee(24, 32, 32, "")),
    ],
    ids=["bracket", "plateau", "rising", "one resolution", "dip inside plateau"],
)
def test_knee_is_bracket_between_run_resolutions(shares: dict[int, float], knee: Knee) -> None:
    curve = {px: right(share) for px, share in shares.items()}
    assert find_knee(curve, 0.02, 0.95) == knee


def test_few_images_widen_bracket() -> None:
    curve = {24: right(0.5, 1, 20), 48: right(0.9, 1, 20), 96: right(0.95, 1, 20)}
    assert find_knee(curve, 0.02, 0.95) == Knee(24, 96, 96, "above")
