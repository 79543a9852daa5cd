"""Rows of device_costs.csv: the cost of exported networks on other devices, beside their profile."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import pandas as pd

from resomap.analysis.profiles import Row
from resomap.config.variants import TRAINING_STEP
from resomap.workflow.layout import table_columns

PLACE = ("family", "model", "resolution")


def device_rows(devices: Mapping[str, Sequence[Row]], profiled: Iterable[Row]) -> Iterator[Row]:
    """Yield a row per device, model, resolution and precision, with its latency in the profile.

    `devices` are the rows of `read_measurements`, `profiled` the cells of the profiles.
    """
    by_place: dict[tuple[object, ...], list[Row]] = {}
    for row in profiled:
        measured = row["batch_size"] == 1 and row.get("latency_ms_p50") is not None
        if measured and row["variant"] != TRAINING_STEP:
            by_place.setdefault(tuple(row[name] for name in PLACE), []).append(row)
    for rows in devices.values():
        for row in sorted(rows, key=lambda each: (*_place(each), each["precision"])):
            known = row | _beside(row, by_place.get(_place(row), ()))
            yield {name: known[name] for name in table_columns("device_costs") if name in known}


def _place(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in PLACE)


def _beside(row: Row, profiled: Sequence[Row]) -> Row:
    """Return the columns about the profile: run the same way if it has that, else as first listed."""
    if not profiled:
        return {}
    way = (row["variant"], row["precision"])
    alike = [each for each in profiled if (each["variant"], each["precision"]) == way]
    beside = (alike or profiled)[0]
    latency, there = row["latency_ms_p50"], beside["latency_ms_p50"]
    return {
        "profiled_variant": beside["variant"],
        "profiled_precision": beside["precision"],
        "profiled_latency_ms_p50": there,
        "latency_ratio": None if latency is None else latency / there,
    }


class TurnedOrder(NamedTuple):
    """How many pairs of cells are ordered otherwise on a device than in the profile, by median."""

    device: str
    turned: int
    pairs: int


def turned_orders(costs: pd.DataFrame) -> list[TurnedOrder]:
    """Return for each device how many pairs of cells in fp32 change their order of latency.

    `costs` is device_costs.csv. Pairs are of what the device measured without disturbance; the
    profile's own disturbances are not in that table.
    """
    usable = costs[(costs["precision"] == "fp32") & (costs["valid"] == True)]  # noqa: E712
    usable = usable.dropna(subset=["latency_ms_p50", "profiled_latency_ms_p50"])
    orders = []
    for device, rows in usable.groupby("device", sort=False):
        points = list(zip(rows["latency_ms_p50"], rows["profiled_latency_ms_p50"], strict=True))
        pairs = list(combinations(points, 2))
        turned = sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in pairs)
        orders.append(TurnedOrder(str(device), turned, len(pairs)))
    return orders
