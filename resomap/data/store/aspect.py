"""From a picture of any shape to a square one: three policies, each one resize."""

from typing import Literal

from PIL import Image

Aspect = Literal["squash", "center_crop", "letterbox"]
GREY = 128


def make_square(
    picture: Image.Image, side: int, aspect: Aspect, filter: Image.Resampling
) -> Image.Image:
    """`picture` (RGB, or L for a mask) as side x side pixels; one that has that size comes back as it is.

    squash scales the sides apart; center_crop cuts the largest square out of the middle; letterbox scales the long side and lays the
    picture on grey (a mask on nothing), never thinner than a pixel.
    """
    width, height = picture.size
    if (width, height) == (side, side):
        return picture
    if aspect == "letterbox":
        return _letterbox(picture, side, filter)
    box = None
    if aspect == "center_crop":
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        box = (left, top, left + short, top + short)
    return picture.resize((side, side), filter, box)


def _letterbox(picture: Image.Image, side: int, filter: Image.Resampling) -> Image.Image:
    longest = max(picture.size)
    width, height = (max(1, round(length * side / longest)) for length in picture.size)
    ground = Image.new(picture.mode, (side, side), 0 if picture.mode == "L" else (GREY,) * 3)
    ground.paste(
        picture.resize((width, height), filter), ((side - width) // 2, (side - height) // 2)
    )
    return ground
