"""Looks at a sweep that grows in rounds: together they may spend the error of one certificate.

Alpha spending (Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials") with
their function of O'Brien and Fleming's form: little is spent early, when seeds are few. The parts
add up to the error, so that by the union bound they hold for any sequence of cells, any stop and
any dependence between the looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from scipy import stats

from resomap.workflow.artifact_paths import file_in
from resomap.workflow.checked_files import read_json

FIRST_LOOK = 2
"""One seed leaves the variance between seeds unknown, so nothing is tested after one round."""
RESERVE = 0.05
"""Share of the error that the rounds leave for a grid that is completed after them."""


@dataclass(frozen=True)
class Looks:
    """The share of the error that the tests may spend now, and the rounds of the sweep."""

    error_share: float = 1.0
    rounds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """Return the fields of choice.json."""
        return {"error_share": self.error_share, "rounds": dict(self.rounds)}


ONE_LOOK = Looks()
"""The whole grid is trained before anything is tested."""


def error_shares(rounds: int, error: float) -> list[float]:
    """Return the share of the error that the look after each of `rounds` may spend.

    Each look is at one more seed; their shares add up to one less the reserve.
    """
    quantile = stats.norm.isf(error / 2)
    spent = [0.0]
    for number in range(1, rounds + 1):
        share = 2 * stats.norm.sf(quantile / (number / rounds) ** 0.5) / error
        is_look = number >= min(FIRST_LOOK, rounds)
        spent.append(float(share) * (1 - RESERVE) if is_look else 0.0)
    return [later - earlier for earlier, later in pairwise(spent)]


def read_looks(results: Path, ended: int) -> Looks:
    """Return what the tests may spend on the sweep in the folder `results`.

    `ended` is how many of its runs ended. Where more did than the rounds requested, the grid was
    continued without them, and this look spends what they left. Before the first look of the
    rounds it is the reserve.
    """
    path = file_in(results, "rounds")
    if not path.exists():
        return ONE_LOOK
    record = read_json(path)
    finished = [one for one in record["rounds"] if one["status"] is not None]
    shares = [one["error_share"] for one in finished]
    requested = sum(len(one["runs"]) for one in record["rounds"])
    if ended > requested:
        return Looks(1 - sum(shares), record)
    return Looks(shares[-1] if any(shares) else RESERVE, record)
