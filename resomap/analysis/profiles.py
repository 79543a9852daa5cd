"""The measurements of the profiles, and which of them represent a model."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from resomap.analysis.predictions import ModelFiles
from resomap.workflow.checked_files import read_json
from resomap.workflow.columns import WAY, column_names

# `resomap choose` reads profiles and answers at once; loading pandas takes a third of a second.
if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

# How a network was run. With the resolution and the batch size they identify a measurement.
VARIANT_COLUMNS = column_names(WAY)


def read_records(profiles: ModelFiles, kind: str) -> Iterator[Row]:
    """Yield every record of `kind` (cells or stages), with `family` and `model`."""
    for (family, model), path in profiles.items():
        for record in read_json(path).get(kind, ()):
            yield {"family": family, "model": model, **record}


def main_variant_rows(table: "pd.DataFrame", profiles: "pd.DataFrame") -> "pd.DataFrame":
    """Select the rows of the main variant of each model, the first one in profiles.csv.

    Cells are compared and chosen by that variant.
    """
    # Variants keep the order of the configuration, whose first one ranks the cells.
    keys = ["family", "model", *VARIANT_COLUMNS]
    return table.merge(profiles.drop_duplicates(["family", "model"])[keys], on=keys)


def single_image_rows(profiles: "pd.DataFrame") -> "pd.DataFrame":
    """Select one row per measured cell, at batch 1, smallest resolution first."""
    rows = main_variant_rows(profiles, profiles)
    measured = (rows["batch_size"] == 1) & rows["latency_ms_p50"].notna()
    return rows[measured].sort_values("resolution", kind="stable")


def best_throughput_rows(profiles: "pd.DataFrame") -> "pd.DataFrame":
    """Select one row per measured cell, at its best throughput, smallest resolution first."""
    rate = "inference_images_per_second"
    rows = main_variant_rows(profiles, profiles).dropna(subset=rate)
    rows = rows.sort_values(rate, ascending=False, kind="stable")
    best = rows.drop_duplicates(["family", "model", "resolution"])
    return best.sort_values("resolution", kind="stable")
