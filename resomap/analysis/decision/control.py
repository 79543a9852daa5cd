"""The A/A control: every cell against itself, under two names with disjoint seeds.

Any difference that is shown is false. Its rate says whether the intervals of this sweep keep
what they claim.
"""

from collections.abc import Sequence
from typing import Any

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.contrasts import contrast_cells

# Two halves of two seeds each.
MIN_SEEDS = 4


def control_record(candidates: Sequence[Candidate], confidence: float) -> dict[str, Any] | None:
    """Compare the halves of the seeds of each cell on test images; None with too few seeds."""
    correct, seeds = [], []
    for candidate in candidates:
        values, names = candidate.test_correct, candidate.test.seeds
        # Once for each network: the same one at another size would be counted again.
        if len(names) < MIN_SEEDS or not candidate.is_as_trained or candidate.variant:
            continue
        half = len(names) // 2
        for rows in (slice(0, half), slice(half, 2 * half)):
            correct.append(values[rows])
            seeds.append(names[rows])
    if not correct or correct[0].shape[1] < 2:
        return None
    contrasts = contrast_cells(correct, seeds)
    count = len(correct) // 2
    intervals = [contrasts.interval(2 * i, 2 * i + 1, confidence) for i in range(count)]
    return {
        "comparisons": count,
        "n_seeds": len(seeds[0]),
        "differences": sum(not one.low <= 0 <= one.high for one in intervals),
        "expected": count * (1 - confidence),
    }
