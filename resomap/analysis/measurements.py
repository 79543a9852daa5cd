"""The profiles, read back: their records with the model that they are of, and which of them stand for it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from resomap.analysis.answers import Cell
from resomap.system import files

Row = dict[str, Any]

WAY = ("variant", "precision", "memory_format")
"""How a network was run; with its resolution and batch size, what a measurement is of."""


def read_records(cells: Sequence[Cell], profiles: Path, kind: str) -> Iterator[Row]:
    """Every record of `kind` (cells or stages) of every model that was profiled, in the order of its file, with `family` and `model`."""
    for family, model in dict.fromkeys((cell.family, cell.model) for cell in cells):
        path = profiles / family / f"{model}.json"
        for record in files.read_json(path).get(kind, ()) if path.exists() else ():
            yield {"family": family, "model": model, **record}


def primary(table: pd.DataFrame, profiles: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table that stand for their model: those that ran as its first row in profiles.csv did, which is what cells are chosen by."""
    keys = ["family", "model", *WAY]
    return table.merge(profiles.drop_duplicates(["family", "model"])[keys], on=keys)


def single(profiles: pd.DataFrame) -> pd.DataFrame:
    """One row a cell that was measured: its latency, at batch 1, smallest resolution first."""
    found = primary(profiles, profiles)
    return found[(found["batch_size"] == 1) & found["latency_ms_p50"].notna()].sort_values(
        "resolution", kind="stable"
    )


def fastest(profiles: pd.DataFrame) -> pd.DataFrame:
    """One row a cell that was measured: its throughput, at the batch that gives most pictures a second, smallest resolution first."""
    found = primary(profiles, profiles).dropna(subset="inference_images_per_second")
    best = found.sort_values(
        "inference_images_per_second", ascending=False, kind="stable"
    ).drop_duplicates(["family", "model", "resolution"])
    return best.sort_values("resolution", kind="stable")
