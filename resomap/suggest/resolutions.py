"""Which resolutions a sweep compares: from what the images hold down to a quarter of it."""

from collections.abc import Mapping

from resomap.suggest.summary import SIDES

ENOUGH_DETAIL = 0.995
"""Share of the detail from which on a larger resolution adds little."""
NUM_RESOLUTIONS = 3


PUBLISHED_SIDE = 224
"""Side at which most published weights were trained. Images that are smaller than their objects
were there cost accuracy, even where all detail is kept (docs/photographs.md)."""
LARGEST_ON_CPU = 224
"""Larger images take a CPU seconds a step."""


def suggest_resolutions(
    native: int, kept: Mapping[int, float], most: int, *, pretrained: bool = False
) -> list[int]:
    """Return ascending resolutions up to `most`: the largest keeps enough detail, others less.

    With pretrained weights it is also the side that they were trained at. None is above
    `native`, the side that the images hold: the rest would be upscaled.
    """
    most = min(native, most)
    held = [side for side in SIDES if side <= most] or [most]
    least = PUBLISHED_SIDE if pretrained else 0
    enough = (side for side in held if side >= least and kept.get(side, 0.0) >= ENOUGH_DETAIL)
    largest = next(enough, held[-1])
    # Each second side: about half of the pixels of a row, and a quarter of the cost.
    below = held[: held.index(largest) + 1][::-2]
    return sorted(below[:NUM_RESOLUTIONS])
