"""The reader of tables that other jobs wrote, compared with the receipt of their job.

Apart from `checked_files`, because trainings read no tables and need no pandas.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from resomap.system.files import reporting_damage
from resomap.workflow.receipts import check_content


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV with the options of pandas.read_csv; DataError where it is damaged.

    Only a blank is missing, unless the options differ: a class may be named NA.
    """
    check_content(path)
    with reporting_damage(path):
        return pd.read_csv(path, **{"keep_default_na": False, "na_values": [""], **options})
