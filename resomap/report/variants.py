"""A table of the ways in which networks were run, where there were several."""

from typing import Any

import pandas as pd

from resomap.analysis.measurements import WAY
from resomap.report.text.cost_titles import mode_name

STATUSES = {"infeasible": "does not fit", "unsupported": "unsupported"}
SHOWN = ("latency_ms_p50", "latency_ms_low", "latency_ms_high", "peak_memory_mib")


def mebibytes(size: float) -> str:
    """`2.4`, `1,203`: what a column of MiB shows."""
    return f"{size:.1f}" if size < 10 else f"{size:,.0f}"


def digits(value: float) -> str:
    """Three significant digits, `0.280`, and no fewer than the whole number, `1,203`."""
    return f"{value:#.3g}" if value < 99.95 else f"{value:,.0f}"


def variant_table(profiles: pd.DataFrame) -> dict[str, Any]:
    """`ways`, their names, and `rows`, one a cell and batch that was run in at least two, with a record or None for each way.

    A record has SHOWN, `valid` and `status`, which is blank where it was measured.
    """
    ways = list(dict.fromkeys(profiles[list(WAY)].itertuples(index=False, name=None)))
    rows = []
    for place, found in profiles.groupby(
        ["family", "model", "resolution", "batch_size"], sort=False
    ):
        if len(found) > 1:
            records = {
                tuple(record[name] for name in WAY): _record(record)
                for record in found.to_dict("records")
            }
            rows.append(
                {
                    "model": place[1],
                    "resolution": place[2],
                    "batch_size": place[3],
                    "ways": [records.get(way) for way in ways],
                }
            )
    return {"ways": _names(ways), "rows": rows}


def _names(ways: list[tuple]) -> list[str]:
    """The mode of each, and what else tells it from the others."""
    telling = [column for column in (1, 2) if len({way[column] for way in ways}) > 1]
    return [
        ", ".join([mode_name(way[0]), *(way[column] for column in telling)]) for way in ways
    ]


def _record(row: dict[Any, Any]) -> dict[str, Any]:
    shown = {name: None if pd.isna(row[name]) else row[name] for name in SHOWN}
    return shown | {"valid": bool(row["valid"]), "status": STATUSES.get(row["status"], "")}
