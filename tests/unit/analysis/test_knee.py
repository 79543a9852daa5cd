"""The knee: its bracket and what the sweep leaves open."""

import numpy as np
import pytest

from resomap.analysis.decision.contrasts import contrast_cells
from resomap.analysis.knee import Knee, find_knee


def right(share: float, seeds: int = 2, images: int = 1000) -> np.ndarray:
    return np.tile(np.arange(images) < share * images, (seeds, 1))


def knee_of(curve: dict[int, np.ndarray], margin: float = 0.02) -> Knee:
    seeds = [range(len(values)) for values in curve.values()]
    return find_knee(contrast_cells(list(curve.values()), seeds), list(curve), margin, 0.95)


@pytest.mark.parametrize(
    ("shares", "knee"),
    [
        ({24: 0.7, 48: 0.95, 96: 0.951}, Knee(24, 48, 96, "")),
        ({24: 0.95, 48: 0.951}, Knee(None, 24, 48, "below")),
        ({24: 0.7, 48: 0.8, 96: 0.95}, Knee(48, 96, 96, "above")),
        ({24: 0.7}, Knee(None, 24, 24, "both")),
        ({24: 0.6, 32: 0.95, 36: 0.7, 48: 0.95}, Knee(24, 32, 32, "")),
        ({24: 0.95, 32: 0.7, 48: 0.95}, Knee(None, 24, 24, "below")),
    ],
    ids=["bracket", "plateau", "rising", "one resolution", "dip above knee", "dip"],
)
def test_knee_is_bracket_between_run_resolutions(shares: dict[int, float], knee: Knee) -> None:
    assert knee_of({px: right(share) for px, share in shares.items()}) == knee


def test_few_images_widen_bracket() -> None:
    rng = np.random.default_rng(0)
    curve = {
        px: rng.random((1, 20)) < share for px, share in ((24, 0.4), (48, 0.9), (96, 0.95))
    }
    assert knee_of(curve).upper == 96


def test_resolution_above_open_one_bounds_nothing() -> None:
    # 24 px may be within the margin, so that 32 px being worse does not bound the knee.
    curve = {24: right(0.935), 32: right(0.7), 48: right(0.95)}
    assert knee_of(curve).lower is None
