import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from resomap.data.store.resize import LETTERBOX_GREY, make_square
from tests.image_files import noise

ASPECTS = st.sampled_from(["squash", "center_crop", "letterbox"])
SIDES, LENGTHS = st.integers(8, 64), st.integers(1, 90)
FILTERS = st.sampled_from(
    [Image.Resampling[name] for name in ("BOX", "BILINEAR", "BICUBIC", "LANCZOS")]
)


def noise_image(width: int, height: int) -> Image.Image:
    return Image.fromarray(noise(1, width=width, height=height))


@given(ASPECTS, SIDES, LENGTHS, LENGTHS, FILTERS)
def test_any_shape_becomes_square_in_its_mode(aspect, side, width, height, filter):
    for mode in ("RGB", "L"):
        image = noise_image(width, height).convert(mode)
        square = make_square(image, side, aspect, filter)
        assert (square.size, square.mode) == ((side, side), mode)


@given(ASPECTS, SIDES, FILTERS)
def test_square_of_its_size_is_returned_as_is(aspect, side, filter):
    image = noise_image(side, side)
    assert make_square(image, side, aspect, filter) is image


@given(ASPECTS, SIDES, st.integers(2, 90), FILTERS)
def test_squares_are_equal_under_every_aspect(aspect, side, length, filter):
    image = noise_image(length, length)
    square = np.asarray(make_square(image, side, aspect, filter))
    assert (square == np.asarray(image.resize((side, side), filter))).all()


@given(SIDES, LENGTHS, LENGTHS)
def test_letterbox_shows_whole_image_on_grey(side, width, height):
    image = Image.new("RGB", (width, height), "red")
    square = np.asarray(make_square(image, side, "letterbox", Image.Resampling.BILINEAR))
    red = (square == (255, 0, 0)).all(axis=2)
    assert (red | (square == LETTERBOX_GREY).all(axis=2)).all()
    shown = (red.any(axis=0).sum(), red.any(axis=1).sum())
    assert max(shown) == side
    for length, full in zip(shown, (width, height), strict=True):
        assert abs(length - max(1, full * side / max(width, height))) <= 0.5


@given(st.integers(8, 20), st.integers(1, 4), st.integers(1, 4))
def test_squashed_mask_keeps_its_share(side, wide, high):
    mask = np.zeros((high * side, wide * side), np.uint8)
    mask[: high * side // 2] = 255
    square = make_square(Image.fromarray(mask), side, "squash", Image.Resampling.BOX)
    assert abs(np.asarray(square).mean() - mask.mean()) < 1


def test_center_crop_shows_undistorted_middle():
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    image = Image.fromarray(pixels)
    square = make_square(image, 20, "center_crop", Image.Resampling.BILINEAR)
    assert (np.asarray(square) == 255).all()
