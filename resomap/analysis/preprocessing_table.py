"""The table of other preprocessings, joined from those of the exported cells."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from resomap.system.files import replacing
from resomap.workflow.checked_tables import read_table
from resomap.workflow.layout import table_columns


def join_parts(parts: Sequence[Path], table: Path) -> pd.DataFrame:
    """Write the rows of all `parts` into `table`, and return them.

    A cell without a network that could be exported has none.
    """
    frames = [frame for frame in map(read_table, parts) if len(frame)]
    columns = list(table_columns("preprocessing_parity"))
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
    rows["judged"] = rows["judged"].astype(bool)
    # The parts are listed as they were made: of all models, the largest images first.
    models = list(dict.fromkeys(rows["model"]))
    rows = rows.sort_values(
        ["model", "train_resolution", "eval_resolution"],
        key=lambda column: column.map(models.index) if column.name == "model" else column,
        kind="stable",
    )
    with replacing(table) as temporary:
        rows[columns].to_csv(temporary, index=False, lineterminator="\n")
    return rows
