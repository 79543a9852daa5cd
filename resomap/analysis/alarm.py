"""The alarm "evidence off the object": correct predictions whose relevance is elsewhere.

An exchange intervention, which needs no map, agrees or disagrees with the alarm.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.evidence_tables import read_explanation_rows, share_on_object
from resomap.analysis.predictions import (
    Cell,
    Predictions,
    Run,
    RunFolders,
    cell_runs,
    group_names,
    in_group,
)
from resomap.analysis.profiles import Row
from resomap.analysis.sanity_check import BASELINES, FailedMethods, failed_methods
from resomap.analysis.statistics import (
    Pool,
    accuracy_interval,
    mean_interval,
    pool_seed_variance,
)
from resomap.workflow.layout import table_columns

# Accuracy holds at a resolution when it is within this of the best of the model, and above
# chance.
ACCURACY_TOLERANCE = 0.1
# The evidence is off the object when its share there is shown to be below this. On the reef the
# share is .0 where the cue is lost, and .3 and more elsewhere.
OFF_OBJECT_SHARE = 0.15
MIN_IMAGES = 5
MAX_NAMED = 6
COIN_TOSS = 0.5

# By method, the share of the relevance on the object (seeds, images).
Shares = dict[str, pd.DataFrame]


def alarm_rows(
    test: Mapping[Cell, Predictions],
    runs: RunFolders,
    manifest: dict[str, Any],
    sanity: Sequence[Row],
    interventions: Sequence[Row],
    confidence: float,
) -> Iterator[Row]:
    """Yield a row of alarms.csv per explained cell and group, or for all images (group `all`).

    `share` is the mean of `share_on_object` over the methods that pass the sanity check, for
    images that every network of the cell predicts correctly. `state` is `fires` when accuracy
    holds, the share is shown to be below OFF_OBJECT_SHARE, and no single method puts twice that
    there; `unknown` when there are too few such images, no masks, or no method that passes.
    `judged` is whether the exchange agrees, where accuracy holds. `images` are indices in the
    test split, the least evidence first.
    """
    groups = _tested_groups(test, manifest) or ["all"]
    correct = {}
    for cell, predictions in test.items():
        for group in groups:
            correct[cell, group] = _correct(predictions, manifest, group)
    shares = _shares_by_cell(test, runs, groups, sanity)
    pool, correct_pool = _pool_shares(shares.values()), _pool_correct(correct.values())
    for (cell, group), of_methods in shares.items():
        values = correct[cell, group]
        same_model = [other for other in test if other[:2] == cell[:2]]
        best = max(float(correct[other, group].mean()) for other in same_model)
        # The accuracy of a group is inside its pairs, which have two classes.
        chance = COIN_TOSS if group != "all" else test[cell].majority_accuracy
        # A network at chance has no evidence to lose: the alarm is about correct predictions.
        low = accuracy_interval(values, confidence, correct_pool).low
        holds = values.mean() >= best - ACCURACY_TOLERANCE and low > chance
        row = {
            **cell._asdict(),
            "group": group,
            "n_seeds": len(values),
            "accuracy": float(values.mean()),
            "accuracy_best": best,
            **_share_columns(of_methods, bool(holds), confidence, pool),
            "judged": None,
        }
        exchange = _exchange(interventions, cell, group)
        if exchange and holds:
            row["judged"] = _agreement(exchange, row["state"])
        yield row


def _tested_groups(test: Mapping[Cell, Predictions], manifest: dict[str, Any]) -> list[str]:
    """Return the groups that have test images."""
    labels = [predictions.labels for predictions in test.values()][:1]
    return [
        group
        for group in group_names(manifest)
        if any(in_group(of_cell, manifest, group).any() for of_cell in labels)
    ]


def _correct(predictions: Predictions, manifest: dict[str, Any], group: str) -> np.ndarray:
    """Return correctness (seeds, images) of a group inside its pairs, or of all images."""
    if group == "all":
        return predictions.correct_as_trained.astype(float)
    return predictions.pair_correct[:, in_group(predictions.labels, manifest, group)]


def _shares_by_cell(
    test: Mapping[Cell, Predictions],
    runs: RunFolders,
    groups: Sequence[str],
    sanity: Sequence[Row],
) -> dict[tuple[Cell, str], Shares]:
    """Return the shares of the methods that pass the sanity check, for every cell and group."""
    failed = failed_methods(pd.DataFrame(sanity, columns=table_columns("sanity")))
    shares = {}
    for cell, predictions in test.items():
        evidence = _read_evidence(cell_runs(cell, predictions.seeds, runs), failed)
        for group in groups:
            shares[cell, group] = _shares_of_group(evidence, group)
    return shares


def _read_evidence(runs: Sequence[Run], failed: FailedMethods) -> pd.DataFrame:
    """Read the localisation of a cell by the methods that pass, with column `share`."""
    of_runs = [read_explanation_rows(run, "localisation").assign(seed=run.seed) for run in runs]
    rows = pd.concat(of_runs) if of_runs else pd.DataFrame()
    if rows.empty or "relevance_mass" not in rows:
        return pd.DataFrame()
    excluded = set(BASELINES)
    for model, resolution, method in failed:
        if (model, resolution) == runs[0].cell[1:]:
            excluded.add(method)
    rows = rows[~rows["method"].isin(excluded)].dropna(subset=["relevance_mass"])
    return rows.assign(share=share_on_object(rows))


def _shares_of_group(evidence: pd.DataFrame, group: str) -> Shares:
    """Return the shares of the images of a group that every network predicts correctly."""
    rows = evidence
    if group != "all" and len(evidence):
        rows = evidence[evidence["group"] == group]
    if rows.empty:
        return {}
    # A wrong prediction has no right reason, so only images that every seed gets right count.
    always_right = rows.groupby("index")["right"].transform("min") == 1
    shares = {}
    for method, of_method in rows[always_right].groupby("method", sort=False):
        table = of_method.pivot_table(index="seed", columns="index", values="share")
        # Seeds are crossed with images, so an image that one seed lacks is left out.
        table = table.dropna(axis=1)
        if table.shape[1] >= MIN_IMAGES:
            shares[str(method)] = table
    return shares


def _pool_shares(shares: Iterable[Shares]) -> Pool | None:
    """Pool the seed variance of the mean shares of all cells and groups."""
    tables = [_mean_over_methods(of_methods).to_numpy() for of_methods in shares if of_methods]
    return pool_seed_variance(tables)


def _pool_correct(correct: Iterable[np.ndarray]) -> Pool | None:
    """Pool the seed variance of the accuracies of all cells and groups."""
    # A group of which a class has no partner has no accuracy.
    return pool_seed_variance(values for values in correct if not np.isnan(values).any())


def _mean_over_methods(shares: Shares) -> pd.DataFrame:
    """Return the mean share of the methods (seeds, images)."""
    return sum(shares.values()) / len(shares)


def _share_columns(shares: Shares, holds: bool, confidence: float, pool: Pool | None) -> Row:
    """Return the share with its interval, the state, and the images with the least evidence."""
    if not shares:
        return {"n": 0, "state": "unknown"}
    table = _mean_over_methods(shares)
    share = mean_interval(table.to_numpy(float), confidence, pool)
    # A single method that finds the object is enough to keep the alarm silent.
    limit = 2 * OFF_OBJECT_SHARE
    on_object = any(method.to_numpy(float).mean() > limit for method in shares.values())
    fires = holds and share.high < OFF_OBJECT_SHARE and not on_object
    row: Row = {"n": table.shape[1], **share.columns("share"), "state": "silent"}
    if not fires:
        return row | {"images": None}
    least = table.mean().sort_values().index[:MAX_NAMED]
    return row | {"state": "fires", "images": " ".join(map(str, least)) or None}


def _exchange(interventions: Sequence[Row], cell: Cell, group: str) -> Row | None:
    """Find the exchange intervention of a cell and group."""
    key = (cell.model, cell.resolution, group, "exchange")
    for row in interventions:
        if (row["model"], row["resolution"], row["group"], row["kind"]) == key:
            return row
    return None


def _agreement(exchange: Row, state: str) -> str | None:
    """Return whether the exchange `agrees` or `disagrees` with the alarm; None when open.

    They agree when predictions are shown to follow the rest of the image and the alarm fires,
    or neither.
    """
    # A network that guesses follows the rest in half of the images.
    low, high = exchange["follows_rest_low"], exchange["follows_rest_high"]
    if state == "unknown" or low <= COIN_TOSS <= high:
        return None
    follows_rest = low > COIN_TOSS
    return "agrees" if follows_rest == (state == "fires") else "disagrees"
