"""The sentence that heads each figure of the data, and the numbers that such sentences are made of."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from resomap.report.facts import Facts

STORED = {
    "squash": "squashed to a square",
    "center_crop": "cut to the square in their middle",
    "letterbox": "set on a grey square",
}
"""What is done to pictures that are not square."""


def percent(share: float) -> str:
    """`12 %`, `99.7 %`: so many digits that a part is never told as nothing or all."""
    told = (f"{100 * share:.{digits}f}" for digits in range(3))
    return (
        next(
            (text for text in told if share in (0, 1) or 0 < float(text) < 100),
            "less than 0.01" if share < 0.5 else "more than 99.99",
        )
        + " %"
    )


def counted(count: int, noun: str) -> str:
    """`1 picture`, `1,203 pictures`."""
    return f"{count:,} {noun}{'' if count == 1 else 'es' if noun.endswith('s') else 's'}"


def times(ratio: float) -> str:
    """`5.2 times`, `1,204 times`."""
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def balance_title(counts: pd.DataFrame) -> str:
    """How unequal the classes (rows of pictures in every split) are."""
    totals = counts.sum(axis=1)
    smallest, largest = int(totals.min()), int(totals.max())
    if smallest == 0:
        return f"{(totals == 0).sum()} of {counted(len(totals), 'class')} have no picture"
    if smallest == largest:
        return f"Every class has {counted(smallest, 'picture')}"
    return f"The largest class has {times(largest / smallest)} the pictures of the smallest"


def sizes_title(facts: Facts, resolutions: Iterable[int]) -> str:
    """How many pictures are smaller than what they are brought to."""
    if len(facts.sizes) == 1:
        width, height = facts.sizes[["width", "height"]].iloc[0]
        return f"Every picture is {width} \N{MULTIPLICATION SIGN} {height} px"
    side = min(max(resolutions), facts.native_resolution)
    share = facts.share_below(side)
    if share == 0:
        return f"No picture is smaller than {side} px, the most that is asked of them"
    return (
        f"{percent(share)} of the pictures are smaller than {side} px: there they are enlarged"
    )


def information_title(facts: Facts, resolutions: Iterable[int]) -> str:
    """What the ends of the sweep keep of the pictures' detail."""
    below = sorted(
        resolution for resolution in resolutions if resolution < facts.native_resolution
    )
    if not below:
        return f"Every resolution of the sweep holds all that is stored at {facts.native_resolution} px"
    first, *others = (
        f"{resolution} px {percent(facts.energy_kept(resolution)[0])}"
        for resolution in dict.fromkeys((below[0], below[-1]))
    )
    return f"{first.replace('px', 'px keep')} of the detail{''.join(f', {other}' for other in others)}"


def sheet_title(facts: Facts) -> str:
    """Which classes are shown."""
    shown, classes = (
        len(np.unique(facts.contact_sheet["label"])),
        len(facts.manifest["classes"]),
    )
    return (
        "What the classes look like"
        if shown == classes
        else f"What the first {shown} of {classes:,} classes look like"
    )


def least_kept(facts: Facts, resolution: int) -> int | None:
    """The class of whose pictures a resolution keeps least; None where no class was looked at."""
    kept = facts.energy_kept(resolution)[1:]
    return None if np.isnan(kept).all() else int(np.nanargmin(kept))


def shape_title(facts: Facts) -> str:
    """What becoming square does to the pictures, in their mean."""
    ratios = facts.ratio_counts
    stretch = np.maximum(ratios.index, 1 / ratios.index)
    match facts.manifest["aspect"]:
        case "squash":
            return (
                f"Squashed by a factor of {np.average(stretch, weights=ratios):.2f} in the mean"
            )
        case "center_crop":
            return f"{percent(np.average(1 - 1 / stretch, weights=ratios))} of the area is cut away in the mean"
        case _:
            return f"{percent(np.average(1 - 1 / stretch, weights=ratios))} of the square stays grey in the mean"
