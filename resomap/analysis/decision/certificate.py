"""The certificate: a sequence of cells fixed on validation images and tested on test images.

Fixed-sequence testing (Angelopoulos et al. 2021, "Learn then Test"): the sequence starts with
the most accurate cell and goes on to cheaper ones. Each is tested at the full level, and the
first failure ends it. A cell passes when it is shown to lose less than the margin to *every*
other cell, since the best one on validation images may not be the best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from resomap.analysis.decision.contrasts import Contrasts
from resomap.analysis.statistics import TINY


@dataclass(frozen=True)
class Certificate:
    """The cells of the sequence, how many of them passed, and what each may lose at most.

    `shown_within` (K,) is the largest deficit to any other cell that the data leave possible;
    for the cells of the sequence on test images, for others on validation images. `split` is
    what the tests read. `prevented` (K,) are the cells that a confound keeps from passing.
    """

    sequence: tuple[int, ...]
    passed: int
    shown_within: np.ndarray
    split: str
    prevented: np.ndarray

    @property
    def certified(self) -> int | None:
        """The last cell that passed; None when the first one failed."""
        return self.sequence[self.passed - 1] if self.passed else None

    @property
    def successes(self) -> tuple[int, ...]:
        """The cells that passed."""
        return self.sequence[: self.passed]


def certify(
    val: Contrasts,
    test: Contrasts | None,
    ranks: Sequence[tuple],
    cheaper: np.ndarray,
    margin: float,
    error: float,
    prevented: np.ndarray | None = None,
) -> Certificate:
    """Test the sequence of cells at level `error`; those `prevented` (K,) fail.

    `ranks` sort cells by promise on validation images, `cheaper` (K, K) is whether the row is
    shown to cost less than the column. Without `test` images, validation images are tested, and
    all cells share the level.
    """
    sequence = promising_sequence(ranks, cheaper)
    on_val = largest_deficits(val, error / len(ranks))
    if prevented is None:
        prevented = np.zeros(len(ranks), bool)
    if test is None:
        return _certificate(sequence, on_val, margin, "val", prevented)
    deficits = largest_deficits(test, error, expected_luck(val, test, sequence[0], cheaper))
    shown_within = on_val.copy()
    shown_within[list(sequence)] = deficits[list(sequence)]
    return _certificate(sequence, shown_within, margin, "test", prevented)


def _certificate(
    sequence: tuple[int, ...],
    shown_within: np.ndarray,
    margin: float,
    split: str,
    prevented: np.ndarray,
) -> Certificate:
    """Count the cells of the sequence before the first failure."""
    passed = 0
    for cell in sequence:
        if shown_within[cell] > margin or prevented[cell]:
            break
        passed += 1
    return Certificate(sequence, passed, shown_within, split, prevented)


def promising_sequence(ranks: Sequence[tuple], cheaper: np.ndarray) -> tuple[int, ...]:
    """Return the best cell, then the most promising one that is cheaper, and so on."""
    order = sorted(range(len(ranks)), key=lambda cell: ranks[cell], reverse=True)
    sequence = [order[0]]
    for cell in order[1:]:
        # A cell that costs no less than one before it could not improve the choice.
        if cheaper[cell, sequence[-1]]:
            sequence.append(cell)
    return tuple(sequence)


def largest_deficits(
    contrasts: Contrasts, error: float, luck: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return the largest deficit of each cell to any other that is possible at level `error`.

    `luck` (K, K) is subtracted from the differences.
    """
    # The claim is about all others together, so no bound has to share the level.
    lowest = contrasts.differences - contrasts.half_widths(error) - luck
    np.fill_diagonal(lowest, 0.0)
    return np.maximum(-lowest.min(axis=1), 0.0)


def expected_luck(
    val: Contrasts, test: Contrasts, best: int, cheaper: np.ndarray
) -> np.ndarray:
    """Return by how much the seeds of a cell probably flatter it on test images (K, K).

    Test images are new, but the networks are those whose validation accuracy selected them. Were
    all contenders of a cell equally accurate, its lead over them would be luck, of which the
    seeds have the share `luck_share`. Contenders are the best cell and those that cost less.
    """
    contends = val.differences + val.half_widths(CONTENTION) >= 0
    np.fill_diagonal(contends, True)
    rivals = cheaper[:, best] | (np.arange(len(cheaper)) == best)
    contends &= rivals[:, None] | np.eye(len(cheaper), dtype=bool)
    # A cell contends with those that are not shown to be less accurate than it is. Their median,
    # so that one better cell among them hides no luck.
    centre = np.nanmedian(np.where(contends.T, val.means, np.nan), axis=1)
    lead = np.maximum(val.means - centre, 0.0)
    return luck_share(test.seed_part, val.image_variance) * lead[:, None]


def luck_share(seeds: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the share of the seeds in the variance of lucky differences on validation images."""
    return np.asarray(seeds / np.maximum(seeds + images, TINY))


CONTENTION = 0.05
"""Level at which a cell is shown to be less accurate than another, and so no contender."""
