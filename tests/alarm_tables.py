"""Alarm tables of tests."""

import pandas as pd

from resomap.workflow.layout import table_columns

GROUPS = ("outline", "broad", "medium", "fine")


def alarm_table(*fires: tuple[int, str], images: str = "") -> pd.DataFrame:
    """Return alarms of four groups at 24, 48 and 96 px; those in `fires` fire."""
    rows = []
    for resolution in (24, 48, 96):
        for group in GROUPS:
            row = {
                "family": "custom",
                "model": "simple_cnn",
                "resolution": resolution,
                "group": group,
                "n_seeds": 2,
                "n": 12,
                "accuracy": 0.97,
                "accuracy_best": 1.0,
                "share": 0.5,
                "share_low": 0.0,
                "share_high": 0.6,
                "state": "silent",
            }
            if (resolution, group) in fires:
                alarm = {"share": 0.02, "state": "fires", "judged": "agrees"}
                row |= {**alarm, "images": images}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(table_columns("alarms")))
