"""Tables of evidence: where it lies, whether the network uses it, whether it depends on what was learnt, what answers follow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.answers import Cell, Run, cell_runs, run_status
from resomap.analysis.gate import gate
from resomap.analysis.measurements import Row
from resomap.analysis.statistics import accuracy_interval, compute_spread, pool_spreads
from resomap.analysis.tables import finished_runs, identity, known_mean, records
from resomap.workflow.layout import table_columns

EXPLANATIONS = table_columns("explanations")
FAITHFULNESS = table_columns("faithfulness")
SANITY = table_columns("sanity")
INTERVENTIONS = table_columns("interventions")
AGREEMENT = table_columns("agreement")
BASELINES = ("random", "edge", "centre")
"""Maps that know no network; they stand beside the methods."""
_MEANS = EXPLANATIONS[EXPLANATIONS.index("relevance_mass") : EXPLANATIONS.index("zero_maps")]


def read_pictures(run: Run, name: str) -> pd.DataFrame:
    """The rows of one file of a run's explanations; none where it was not explained. A blank is missing, and nothing else (a group may be NA)."""
    path = run.folder / "explanations" / f"{name}.csv"
    return (
        pd.read_csv(path, keep_default_na=False, na_values=[""])
        if path.exists()
        else pd.DataFrame()
    )


def struck_out(sanity: pd.DataFrame) -> set[tuple[str, int, str]]:
    """Model, resolution and method of what failed the gate in most runs of a cell, from the columns of SANITY; baselines are not judged."""
    methods = sanity[~sanity["method"].isin(BASELINES)]
    failed = (
        (methods["passed"] == False)  # noqa: E712
        .groupby([methods[name] for name in ("model", "resolution", "method")], sort=False)
        .mean()
    )
    return {
        (str(model), int(resolution), str(method))
        for model, resolution, method in failed[failed > 0.5].index
    }


def share_on_object(pictures: pd.DataFrame) -> pd.Series:
    """How much of each map lies on the object: 0 what chance puts there, 1 all that its grid allows; NaN where a mask leaves no choice."""
    excess, possible = (
        pictures[name] - pictures["mask_area"]
        for name in ("relevance_mass", "relevance_mass_best")
    )
    return excess / possible.where(possible > 0)


def explanation_rows(cells: Sequence[Cell], seeds: Sequence[int], runs: Path) -> Iterator[Row]:
    """Rows of EXPLANATIONS: the means over the explained pictures of a run, over all of them and over each group."""
    for run in finished_runs(cells, seeds, runs):
        for _, of_method in _split(read_pictures(run, "localisation"), ["method"]):
            yield identity(run) | _localisation(of_method) | {"group": "all"}
            for group, of_group in _split(of_method, ["group"]):
                yield identity(run) | _localisation(of_group) | {"group": group}


def _split(pictures: pd.DataFrame, columns: list[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The parts that are alike in `columns`, in the order in which they first appear; rows that lack one are in none."""
    if not pictures.empty:
        yield from pictures.groupby(columns if len(columns) > 1 else columns[0], sort=False)


def _localisation(pictures: pd.DataFrame) -> Row:
    first = pictures.iloc[0]
    return {
        **{name: first[name] for name in ("method", "target", "layer", "grid")},
        "n": len(pictures),
        **{name: known_mean(pictures[name].to_numpy(float)) for name in _MEANS},
        "zero_maps": int(pictures["zero_map"].sum()),
        "completeness_error": known_mean(pictures["completeness_error"].to_numpy(float)),
    }


def agreement_rows(cells: Sequence[Cell], folder: Path) -> Iterator[Row]:
    """Rows of AGREEMENT: what was compared of every model, {family}/{model}.csv in `folder`."""
    for family, model in dict.fromkeys(cell[:2] for cell in cells):
        path = folder / family / f"{model}.csv"
        if path.exists():
            yield from records(pd.read_csv(path, keep_default_na=False, na_values=[""]))


def faithfulness_rows(cells: Sequence[Cell], seeds: Sequence[int], runs: Path) -> Iterator[Row]:
    """Rows of FAITHFULNESS: the means over the pictures of a run, an order and a bandwidth each."""
    for run in finished_runs(cells, seeds, runs):
        for (method, bandwidth), pictures in _split(
            read_pictures(run, "faithfulness"), ["method", "bandwidth"]
        ):
            means = {
                name: known_mean(pictures[name].to_numpy(float))
                for name in ("deletion", "insertion")
            }
            yield (
                identity(run)
                | {"method": method, "bandwidth": bandwidth, "n": len(pictures)}
                | means
            )


def sanity_rows(cells: Sequence[Cell], seeds: Sequence[int], runs: Path) -> Iterator[Row]:
    """Rows of SANITY: how much of its maps a method keeps when the network's last weights are drawn anew."""
    for run in finished_runs(cells, seeds, runs):
        for method, draws in _split(read_pictures(run, "sanity"), ["method"]):
            correlations, floor = (
                draws["correlation"].to_numpy(float),
                float(draws["floor"].iloc[0]),
            )
            told = {
                "method": method,
                "draws": len(draws),
                "correlation": float(correlations.mean()),
                "floor": floor,
            }
            yield identity(run) | told | gate(correlations, floor)._asdict()


def intervention_rows(
    cells: Sequence[Cell], seeds: Sequence[int], runs: Path, confidence: float
) -> Iterator[Row]:
    """Rows of INTERVENTIONS: how often the answer of a cell changes, and follows what was exchanged around the object."""
    follows, rows = (
        dict[tuple[Cell, str, str], np.ndarray](),
        dict[tuple[Cell, str, str], Row](),
    )
    for cell in cells:
        found = [
            read_pictures(run, "interventions")
            for run in cell_runs(cell, seeds, runs)
            if run_status(run) == "ok"
        ]
        pictures = (
            pd.concat([one.assign(network=number) for number, one in enumerate(found)])
            if found
            else pd.DataFrame()
        )
        for kind, of_kind in _split(pictures, ["kind"]):
            for group, of_group in [("all", of_kind), *_split(of_kind, ["group"])]:
                key = (cell, str(group), str(kind))
                follows[key] = (
                    (of_group["follows"] == "rest")
                    .to_numpy()
                    .reshape(of_group["network"].nunique(), -1)
                )
                rows[key] = {"changed": float((of_group["before"] != of_group["after"]).mean())}
    pool = pool_spreads([compute_spread(values.astype(float)) for values in follows.values()])
    for (cell, group, kind), values in follows.items():
        interval = accuracy_interval(values, confidence, pool)
        row = {
            **cell._asdict(),
            "group": group,
            "kind": kind,
            "n_seeds": values.shape[0],
            "n": values.shape[1],
            **rows[cell, group, kind],
        }
        yield row | {
            "follows_rest": interval.mean,
            "follows_rest_low": interval.low,
            "follows_rest_high": interval.high,
        }
