import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from resomap.data.store.resize import LETTERBOX_GREY, make_square
from tests.pictures import noise

ASPECTS = st.sampled_from(["squash", "center_crop", "letterbox"])
SIDES, LENGTHS = st.integers(8, 64), st.integers(1, 90)
FILTERS = st.sampled_from(
    [
        Image.Resampling.BOX,
        Image.Resampling.BILINEAR,
        Image.Resampling.BICUBIC,
        Image.Resampling.LANCZOS,
    ]
)


@given(ASPECTS, SIDES, LENGTHS, LENGTHS, FILTERS)
def test_every_shape_becomes_the_square_in_its_own_mode(aspect, side, width, height, filter):
    picture = Image.fromarray(noise(1, width=width, height=height))
    for image in (picture, picture.convert("L")):
        square = make_square(image, side, aspect, filter)
        assert (square.size, square.mode) == ((side, side), image.mode)


@given(ASPECTS, SIDES, FILTERS)
def test_a_square_of_the_size_comes_back_untouched(aspect, side, filter):
    picture = Image.fromarray(noise(2, width=side, height=side))
    assert make_square(picture, side, aspect, filter) is picture


@given(ASPECTS, SIDES, st.integers(2, 90), FILTERS)
def test_a_square_of_any_size_is_the_same_under_every_policy(aspect, side, length, filter):
    picture = Image.fromarray(noise(3, width=length, height=length))
    assert (
        np.asarray(make_square(picture, side, aspect, filter))
        == np.asarray(picture.resize((side, side), filter))
    ).all()


@given(SIDES, LENGTHS, LENGTHS)
def test_a_letterbox_shows_all_of_the_picture_and_grey_around_it(side, width, height):
    square = np.asarray(
        make_square(
            Image.new("RGB", (width, height), "red"),
            side,
            "letterbox",
            Image.Resampling.BILINEAR,
        )
    )
    red = (square == (255, 0, 0)).all(axis=2)
    assert (red | (square == LETTERBOX_GREY).all(axis=2)).all()
    shown = (red.any(axis=0).sum(), red.any(axis=1).sum())
    assert max(shown) == side
    longest = max(width, height)
    assert [
        abs(length - max(1, full * side / longest)) <= 0.5
        for length, full in zip(shown, (width, height), strict=True)
    ] == [True, True]


@given(st.integers(8, 20), st.integers(1, 4), st.integers(1, 4))
def test_a_mask_keeps_its_share_of_a_squashed_picture(side, wide, high):
    mask = np.zeros((high * side, wide * side), np.uint8)
    mask[: high * side // 2] = 255
    square = np.asarray(
        make_square(Image.fromarray(mask), side, "squash", Image.Resampling.BOX)
    )
    assert abs(square.mean() - mask.mean()) < 1


def test_a_center_crop_shows_the_middle_undistorted():
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255
    assert (
        np.asarray(
            make_square(Image.fromarray(picture), 20, "center_crop", Image.Resampling.BILINEAR)
        )
        == 255
    ).all()
