"""The reader of tables that other jobs wrote, compared with the receipt of their job.

Apart from `checked_files`, because trainings read no tables and need no pandas.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from resomap.system.files import reporting_damage
from resomap.workflow.receipts import check_content

TEXT_COLUMNS = (
    *("family", "model", "class", "predicted", "group", "layer", "stages", "thresholds"),
    *("last", "single", "code", "images", "source", "reason"),
)
"""Columns that stay text where every value looks like a number: classes may be named 0 to 9."""


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV with the options of pandas.read_csv; DataError where it is damaged.

    Only a blank is missing, unless the options differ: a class may be named NA.
    """
    check_content(path)
    defaults: dict[str, Any] = {
        "keep_default_na": False,
        "na_values": [""],
        "dtype": dict.fromkeys(TEXT_COLUMNS, str),
    }
    with reporting_damage(path):
        return pd.read_csv(path, **{**defaults, **options})
