"""The tables, read back for figures and sentences."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from resomap.system import files


@dataclass(frozen=True)
class Tables:
    """Every table of results/tables, by its file's name; `choice` and `environment` are plain values."""

    runs: pd.DataFrame
    evaluation: pd.DataFrame
    classes: pd.DataFrame
    profiles: pd.DataFrame
    stages: pd.DataFrame
    neighbours: pd.DataFrame
    cost: pd.DataFrame
    energy: pd.DataFrame
    explanations: pd.DataFrame
    agreement: pd.DataFrame
    faithfulness: pd.DataFrame
    sanity: pd.DataFrame
    interventions: pd.DataFrame
    alarms: pd.DataFrame
    cells: pd.DataFrame
    groups: pd.DataFrame
    matrix: pd.DataFrame
    knees: pd.DataFrame
    choice: dict[str, Any]
    environment: dict[str, list[Any]]


def read_tables(folder: Path) -> Tables:
    """Read what `write_tables` wrote; a blank is a missing value and nothing else is (a class may be called NA)."""
    frames = {
        name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])
        for name, kind in Tables.__annotations__.items()
        if kind is pd.DataFrame
    }
    return Tables(
        **frames,
        **{
            name: files.read_json(folder / f"{name}.json") for name in ("choice", "environment")
        },
    )
