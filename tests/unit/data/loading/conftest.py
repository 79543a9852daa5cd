from collections.abc import Callable

import pytest
from torch import Tensor

from tests.waves import draw_waves


@pytest.fixture
def waves() -> Callable[[int, int], Tensor]:
    """Smooth images (count, side), uint8 NHWC, that look the same at any resolution."""
    return draw_waves
