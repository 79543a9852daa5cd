"""What the explanation browser shows of each explained run, image by image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from resomap.analysis.alarm import OFF_OBJECT_SHARE
from resomap.analysis.evidence_tables import share_on_object
from resomap.analysis.sanity_check import FailedMethods, attribution_methods, failed_methods
from resomap.analysis.tables import Tables
from resomap.calibration import log_probabilities
from resomap.report.figures.panels import explanations_folder
from resomap.workflow.artifacts import RUN_PATH
from resomap.workflow.checked_files import read_arrays
from resomap.workflow.checked_tables import read_table
from resomap.workflow.predictions import logits_name

RUN_KEYS = ["family", "model", "resolution", "seed"]


class RunKey(NamedTuple):
    """What identifies an explained run."""

    family: str
    model: str
    resolution: int
    seed: int


@dataclass(frozen=True)
class BrowsedRun:
    """Predictions and evidence of a run for the images `index` (n,) of the test split.

    `probabilities` (n, classes) are those of the network as trained. `mass` and `share` have an
    array (n,) for each method, NaN without masks: the part of the positive relevance inside the
    mask, and `share_on_object`. `off_object` (n,) are images with the right prediction whose
    evidence lies elsewhere.
    """

    key: RunKey
    index: np.ndarray
    probabilities: np.ndarray
    wrong: np.ndarray
    off_object: np.ndarray
    mass: dict[str, np.ndarray]
    share: dict[str, np.ndarray]

    @property
    def methods(self) -> list[str]:
        """Return the methods that explained the run."""
        return list(self.mass)


def read_runs(tables: Tables, labels: np.ndarray, runs: Path) -> list[BrowsedRun]:
    """Read every explained run of the sweep; all have the same images in the same order."""
    keys = tables.explanations.drop_duplicates(RUN_KEYS)[RUN_KEYS]
    evidence: dict[RunKey, pd.DataFrame] = {}
    for key in map(RunKey._make, keys.itertuples(index=False, name=None)):
        folder = explanations_folder(runs, key._asdict())
        evidence[key] = read_table(folder / "localisation.csv")
    # All runs explain the same images; one that lacks some must not stop the report.
    index = _common_index(list(evidence.values()))
    failed = failed_methods(tables.sanity)
    return [_read_run(key, rows, index, labels, runs, failed) for key, rows in evidence.items()]


def _common_index(evidence: Sequence[pd.DataFrame]) -> np.ndarray:
    if not evidence:
        return np.zeros(0, np.int64)
    return np.array(sorted(set.intersection(*(set(rows["index"]) for rows in evidence))), int)


def _read_run(
    key: RunKey,
    rows: pd.DataFrame,
    index: np.ndarray,
    labels: np.ndarray,
    runs: Path,
    failed: FailedMethods,
) -> BrowsedRun:
    name = logits_name(key.resolution)
    path = runs / RUN_PATH.format(**key._asdict()) / "predictions.npz"
    probabilities = np.exp(log_probabilities(read_arrays(path, name)[name][index]))
    wrong = probabilities.argmax(axis=1) != labels[index]
    rows = rows.assign(share=share_on_object(rows))
    mass, share = {}, {}
    for method in attribution_methods(rows):
        of_method = rows[rows["method"] == method].set_index("index").loc[index]
        mass[method] = of_method["relevance_mass"].to_numpy(float)
        share[method] = of_method["share"].to_numpy(float)
    passing = [share[m] for m in share if (key.model, key.resolution, m) not in failed]
    off = np.zeros(len(index), bool)
    if passing:
        # NaN, without a mask, is not below.
        off = ~wrong & (np.mean(passing, axis=0) < OFF_OBJECT_SHARE)
    return BrowsedRun(key, index, probabilities, wrong, off, mass, share)
