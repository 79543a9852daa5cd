"""Rows of the tables made from the explanations.

explanations.csv (localisation), agreement.csv, faithfulness.csv, sanity.csv and
interventions.csv.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.predictions import Cell, ModelFiles, Run, RunFolders, finished_runs
from resomap.analysis.profiles import Row
from resomap.analysis.run_tables import mean_or_none, run_key, to_rows
from resomap.analysis.sanity_check import check_sanity
from resomap.analysis.statistics import accuracy_interval, pool_seed_variance
from resomap.workflow.checked_tables import read_table

LOCALISATION_MEANS = (
    "relevance_mass", "relevance_mass_best", "relevance_rank", "relevance_rank_best",
    "pointing_game", "pointing_chance", "mask_area",
)  # fmt: skip


def read_explanation_rows(run: Run, name: str) -> pd.DataFrame:
    """Read one file of the explanations of a run, a row per image; empty without it."""
    if run.explanations is None:
        return pd.DataFrame()
    path = run.explanations / f"{name}.csv"
    return read_table(path) if path.exists() else pd.DataFrame()


def share_on_object(images: pd.DataFrame) -> pd.Series:
    """Compute which share of each map lies on the object.

    0 is what chance puts there, 1 all that the grid of the map allows; NaN where the mask
    leaves nothing to choose.
    """
    excess = images["relevance_mass"] - images["mask_area"]
    # Grids differ in what they can put there: .73 at 6 cells, .93 at 24 on the reef.
    possible = images["relevance_mass_best"] - images["mask_area"]
    return excess / possible.where(possible > 0)


def explanation_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders
) -> Iterator[Row]:
    """Yield a row of explanations.csv per run, method and group: means over images."""
    for run in finished_runs(cells, seeds, runs):
        key = run_key(run)
        for _, of_method in _split(read_explanation_rows(run, "localisation"), "method"):
            yield key | _localisation_means(of_method) | {"group": "all"}
            for group, of_group in _split(of_method, "group"):
                yield key | _localisation_means(of_group) | {"group": group}


def _split(rows: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Yield the parts with equal values in `columns`, in order; drops rows with a blank."""
    if not rows.empty:
        # Of a list of one column pandas would yield tuples of one value.
        by = list(columns) if len(columns) > 1 else columns[0]
        yield from rows.groupby(by, sort=False)


def _localisation_means(images: pd.DataFrame) -> Row:
    """Return the means over the images of one method."""
    first = images.iloc[0]
    row = {name: first[name] for name in ("method", "target", "layer", "grid")}
    row["n"] = len(images)
    for name in (*LOCALISATION_MEANS, "completeness_error"):
        row[name] = mean_or_none(images[name].to_numpy(float))
    return row | {"zero_maps": int(images["zero_map"].sum())}


def agreement_rows(agreements: ModelFiles) -> Iterator[Row]:
    """Yield the rows of agreement.csv of every model, from its own file."""
    for path in agreements.values():
        yield from to_rows(read_table(path))


def faithfulness_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders
) -> Iterator[Row]:
    """Yield a row of faithfulness.csv per run, method and bandwidth: means over images."""
    for run in finished_runs(cells, seeds, runs):
        rows = read_explanation_rows(run, "faithfulness")
        for (method, bandwidth), images in _split(rows, "method", "bandwidth"):
            yield {
                **run_key(run),
                "method": method,
                "bandwidth": bandwidth,
                "n": len(images),
                "deletion": mean_or_none(images["deletion"].to_numpy(float)),
                "insertion": mean_or_none(images["insertion"].to_numpy(float)),
            }


def sanity_rows(cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders) -> Iterator[Row]:
    """Yield a row of sanity.csv per run and method: what its maps retain."""
    for run in finished_runs(cells, seeds, runs):
        for method, draws in _split(read_explanation_rows(run, "sanity"), "method"):
            correlations = draws["correlation"].to_numpy(float)
            floor = float(draws["floor"].iloc[0])
            yield {
                **run_key(run),
                "method": method,
                "draws": len(draws),
                "correlation": float(correlations.mean()),
                "floor": floor,
                **check_sanity(correlations, floor)._asdict(),
            }


def intervention_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: RunFolders, confidence: float
) -> Iterator[Row]:
    """Yield a row of interventions.csv per cell, kind and group.

    `changed` is how often the prediction changes, `follows_rest` how often it follows what was
    changed around the object.
    """
    follows: dict[tuple[Cell, str, str], np.ndarray] = {}
    changed: dict[tuple[Cell, str, str], float] = {}
    for cell in cells:
        for kind, of_kind in _split(_read_interventions(cell, seeds, runs), "kind"):
            for group, images in [("all", of_kind), *_split(of_kind, "group")]:
                key = (cell, str(group), str(kind))
                # Every run changes the same images in the same order.
                num_seeds = images["seed"].nunique()
                follows[key] = (images["follows"] == "rest").to_numpy().reshape(num_seeds, -1)
                changed[key] = float((images["before"] != images["after"]).mean())
    pool = pool_seed_variance(follows.values())
    for (cell, group, kind), values in follows.items():
        yield {
            **cell._asdict(),
            "group": group,
            "kind": kind,
            "n_seeds": values.shape[0],
            "n": values.shape[1],
            "changed": changed[cell, group, kind],
            **accuracy_interval(values, confidence, pool).columns("follows_rest"),
        }


def _read_interventions(cell: Cell, seeds: Sequence[int], runs: RunFolders) -> pd.DataFrame:
    """Read the interventions of the finished runs of a cell, with column `seed`."""
    frames = [
        read_explanation_rows(run, "interventions").assign(seed=run.seed)
        for run in finished_runs([cell], seeds, runs)
    ]
    return pd.concat(frames) if frames else pd.DataFrame()
