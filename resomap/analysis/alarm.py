"""Right answer, wrong reason: where accuracy holds while the evidence has left the object, and what an intervention says of it."""

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.answers import Answers, Cell, Run, cell_runs, group_names, in_group
from resomap.analysis.evidence import (
    BASELINES,
    SANITY,
    read_pictures,
    share_on_object,
    struck_out,
)
from resomap.analysis.measurements import Row
from resomap.analysis.statistics import (
    Pool,
    accuracy_interval,
    compute_spread,
    mean_interval,
    pool_spreads,
)
from resomap.workflow.layout import table_columns

ALARMS = table_columns("alarms")
HOLDS = 0.1
"""Accuracy holds at a resolution where it lies within this of the best that the model reaches, and above chance."""
LEFT = 0.15
"""The evidence has left the object where its share there is shown to be below this; on the reef .0 where it has, .3 and more where not."""
FEWEST = 5
MOST_NAMED = 6
COIN_TOSS = 0.5


def alarm_rows(
    test: Mapping[Cell, Answers],
    runs: Path,
    manifest: dict[str, Any],
    tables: Mapping[str, Sequence[Row]],
    confidence: float,
) -> Iterator[Row]:
    """Rows of ALARMS: each cell that was explained, each group of classes whose answers are counted inside pairs, or all pictures.

    `share` is the grid-corrected excess of relevance on the object, (mass - area) / (best - area): 0 what chance puts there, 1 all of it; the
    mean over the methods that passed the sanity gate, of pictures that every network of the cell answers right. `state` is `fires` where
    accuracy holds, the share is shown to be below LEFT, and no method alone puts twice that there; `unknown` where there are too few such
    pictures, no masks, or no method that passed. `judged` is what exchanging the rest of the picture says, where accuracy holds; `tables` holds
    the rows of sanity.csv and interventions.csv. `pictures` are places in the test split, the least evidence first.
    """
    groups = group_names(manifest) or ["all"]
    accuracy = {
        (cell, group): _answers(answers, manifest, group)
        for cell, answers in test.items()
        for group in groups
    }
    struck = struck_out(pd.DataFrame(tables["sanity"], columns=SANITY))
    evidence = {
        cell: _evidence(cell_runs(cell, answers.seeds, runs), struck)
        for cell, answers in test.items()
    }
    shares = {
        (cell, group): _shares(evidence[cell], group) for cell in test for group in groups
    }
    pool = pool_spreads(
        [compute_spread(_mean(share).to_numpy(float)) for share in shares.values() if share]
    )
    for (cell, group), share in shares.items():
        right = accuracy[cell, group]
        best = max(
            float(accuracy[other, group].mean()) for other in test if other[:2] == cell[:2]
        )
        chance = COIN_TOSS if group != "all" else 1 / len(manifest["classes"])
        holds = (
            right.mean() >= best - HOLDS and accuracy_interval(right, confidence).low > chance
        )
        row = {
            **cell._asdict(),
            "group": group,
            "n_seeds": len(right),
            "accuracy": float(right.mean()),
            "accuracy_best": best,
        }
        row |= _told(share, holds, confidence, pool)
        judged = _judged(tables["interventions"], cell, group, row["state"]) if holds else None
        yield row | {"judged": judged}


def _answers(answers: Answers, manifest: dict[str, Any], group: str) -> np.ndarray:
    """Right answers (seeds, pictures) of a group, inside its pairs; of all pictures where there are no groups."""
    return (
        answers.own.astype(float)
        if group == "all"
        else answers.pair[:, in_group(answers.label, manifest, group)]
    )


def _evidence(runs: Sequence[Run], struck: Set[tuple[str, int, str]]) -> pd.DataFrame:
    """Of every picture: its group, whether each network answers it right, and the share of each method's relevance on the object."""
    told = [read_pictures(run, "localisation").assign(seed=run.seed) for run in runs]
    rows = pd.concat(told) if told else pd.DataFrame()
    if rows.empty or "relevance_mass" not in rows:
        return pd.DataFrame()
    gone = {
        method
        for model, resolution, method in struck
        if (model, resolution) == runs[0].cell[1:]
    }
    rows = rows[~rows["method"].isin({*gone, *BASELINES})].dropna(subset=["relevance_mass"])
    return rows.assign(share=share_on_object(rows))


def _shares(evidence: pd.DataFrame, group: str) -> dict[str, pd.DataFrame]:
    """A table (seeds, pictures) of shares a method, of the pictures of a group that every network answers right."""
    of_group = (
        evidence if evidence.empty or group == "all" else evidence[evidence["group"] == group]
    )
    if of_group.empty:
        return {}
    always = of_group.groupby("index")["right"].transform("min") == 1
    tables = {
        str(method): rows.pivot_table(index="seed", columns="index", values="share").dropna(
            axis=1
        )
        for method, rows in of_group[always].groupby("method", sort=False)
    }
    return {method: table for method, table in tables.items() if table.shape[1] >= FEWEST}


def _mean(shares: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Mean over one method or more (seeds, pictures)."""
    return sum(shares.values()) / len(shares)


def _told(
    shares: dict[str, pd.DataFrame], holds: bool, confidence: float, pool: Pool | None
) -> Row:
    if not shares:
        return {"n": 0, "state": "unknown"}
    table = _mean(shares)
    share = mean_interval(table.to_numpy(float), confidence, pool)
    objects = any(one.to_numpy(float).mean() > 2 * LEFT for one in shares.values())
    fires = holds and share.high < LEFT and not objects
    worst = table.mean().sort_values().index[:MOST_NAMED] if fires else []
    ends = {"share": share.mean, "share_low": share.low, "share_high": share.high}
    return {
        "n": table.shape[1],
        **ends,
        "state": "fires" if fires else "silent",
        "pictures": " ".join(map(str, worst)) or None,
    }


def _judged(interventions: Sequence[Row], cell: Cell, group: str, state: str) -> str | None:
    """Whether an exchange says the same as the alarm: that answers follow the rest of the picture, or that they do not."""
    keys = {
        "model": cell.model,
        "resolution": cell.resolution,
        "group": group,
        "kind": "exchange",
    }
    found = [
        row for row in interventions if all(row[name] == value for name, value in keys.items())
    ]
    if (
        not found
        or state == "unknown"
        or found[0]["follows_rest_low"] <= COIN_TOSS <= found[0]["follows_rest_high"]
    ):
        return None
    follows = found[0]["follows_rest_low"] > COIN_TOSS
    return "agrees" if follows == (state == "fires") else "disagrees"
