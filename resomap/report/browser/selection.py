"""Which of the explained images the browser shows, in which order."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from resomap.report.browser.runs import BrowsedRun
from resomap.report.figures.maps import in_turn


class RankedImages(NamedTuple):
    """Positions (n,) of the explained images, best to show first, and of each reason its images."""

    order: np.ndarray
    reasons: dict[str, set[int]]


def rank_images(runs: Sequence[BrowsedRun], alarms: pd.DataFrame) -> RankedImages:
    """Rank the explained images by why a reader would look for them.

    Those of alarms come first, alarms in turn. Then four lists take turns: images that most
    runs predict wrong, that most networks predict right at one resolution and wrong at another,
    that most runs predict right for the wrong reason, and a fixed sample. No list is left out
    where one of them is long.
    """
    if not runs:
        return RankedImages(np.zeros(0, int), {})
    index = runs[0].index
    lists = {
        "wrong": _most_first(np.sum([run.wrong for run in runs], axis=0)),
        "flipped": _most_first(_flips(runs)),
        "wrong_reason": _most_first(np.sum([run.off_object for run in runs], axis=0)),
    }
    raised = alarm_images(alarms, index)
    alarmed = in_turn(list(raised.values()))
    # From every part of the sample: it is sorted by index, and many datasets by class.
    sample = np.random.default_rng(0).permutation(len(index)).tolist()
    order = dict.fromkeys([*alarmed, *in_turn([*lists.values(), sample])])
    reasons = {"alarm": set(alarmed)} | {name: set(found) for name, found in lists.items()}
    return RankedImages(np.array(list(order), int), reasons)


def alarm_images(alarms: pd.DataFrame, index: np.ndarray) -> dict[tuple[str, int], list[int]]:
    """Return the positions of the images of firing alarms by model and resolution.

    The least evidence comes first, groups in turn.
    """
    position_of = {int(number): position for position, number in enumerate(index)}
    fires = alarms[(alarms["state"] == "fires") & alarms["images"].notna()]
    found: dict[tuple[str, int], list[int]] = {}
    for key, rows in fires.groupby(["model", "resolution"], sort=False):
        lists = [map(int, str(named).split()) for named in rows["images"]]
        known = [position_of[number] for number in in_turn(lists) if number in position_of]
        found[str(key[0]), int(key[1])] = list(dict.fromkeys(known))
    return found


def _flips(runs: Sequence[BrowsedRun]) -> np.ndarray:
    """Count for each image the trained seeds of models that answer it right and wrong, by size."""
    of_model: dict[tuple[str, int], list[np.ndarray]] = {}
    for run in runs:
        of_model.setdefault((run.key.model, run.key.seed), []).append(run.wrong)
    flips = [np.any(wrong, axis=0) & ~np.all(wrong, axis=0) for wrong in of_model.values()]
    return np.sum(flips, axis=0)


def _most_first(counts: np.ndarray) -> list[int]:
    """Return the positions with a count, the largest first."""
    order = np.argsort(-counts, kind="stable")
    return [int(position) for position in order if counts[position]]
