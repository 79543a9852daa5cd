import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from resomap.data.augment import draw_epoch
from tests.recipes import augmentation


@settings(deadline=None)
@given(seed=st.integers(0, 2**63), epoch=st.integers(0, 1000), count=st.integers(0, 200), share=st.floats(0, 1))
def test_every_picture_comes_once_an_epoch(seed, epoch, count, share):
    draws = draw_epoch(seed, epoch, count, augmentation(horizontal_flip=share))
    np.testing.assert_array_equal(np.sort(draws.order), np.arange(count))
    assert draws.flipped.shape == (count,)
