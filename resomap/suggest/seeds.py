"""How many seeds a sweep needs, by the difference in accuracy that matters."""

from dataclasses import replace

from resomap.analysis.decision.outlook import SweepSize, detectable_difference

FEWEST, MOST = 2, 6
"""One seed leaves the spread between seeds unknown; few sweeps can afford more than six."""
WORTHWHILE = 1.1
"""How much larger the detectable difference may be than with MOST seeds."""


def suggest_seeds(size: SweepSize, margin: float, confidence: float) -> int:
    """Return the fewest seeds that detect a difference of `margin`.

    Where the test images limit what is detected, those beyond which seeds add little. The
    number of `size.seeds` does not matter.
    """
    differences = {
        seeds: detectable_difference(replace(size, seeds=seeds), confidence)
        for seeds in range(FEWEST, MOST + 1)
    }
    enough = max(margin, WORTHWHILE * differences[MOST])
    return min(seeds for seeds in differences if differences[seeds] <= enough)
