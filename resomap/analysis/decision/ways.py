"""The measured ways of running a network, from the records of profiles or of another device."""

from collections.abc import Iterable

from resomap.analysis.decision.candidates import RUNTIMES, RefusedWay, WaysToRun, WayToRun
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell
from resomap.analysis.profiles import VARIANT_COLUMNS, Row
from resomap.config.report import COST_BUDGETS
from resomap.config.variants import TRAINING_STEP
from resomap.workflow.predictions import INT8

MainRows = dict[tuple[str, str], Row]
"""The first measurement of each model, by family and model."""


def ways_to_run(
    measurements: Iterable[Row], device: str | None = None
) -> dict[Cell, list[WayToRun]]:
    """Return how one image of every measured cell may be predicted, from the profiles.

    The first way of each cell is the main variant of its model, by which cells are ranked. Others
    follow if they ran on the same device, and in the precision of the main variant, in which the
    accuracy is known. Ways in int8 are for the networks in int8 alone. Of another `device` all
    ways have the name of their runtime.
    """
    rows = list(measurements)
    main = _main_rows(rows)
    ways: dict[Cell, list[WayToRun]] = {}
    for row in rows:
        measured = row["batch_size"] == 1 and row.get("latency_ms_p50") is not None
        infers = measured and row["variant"] != TRAINING_STEP
        of_model = main.get((row["family"], row["model"]))
        if infers and _is_comparable(row, of_model):
            cell = Cell(row["family"], row["model"], row["resolution"])
            name = _variant_name(row, of_model, is_named=device is not None)
            ways.setdefault(cell, []).append(_way(row, name))
    return ways


def _main_rows(rows: Iterable[Row]) -> MainRows:
    main: MainRows = {}
    for row in rows:
        # Variants keep the order of the configuration, whose first one ranks the cells.
        if row["precision"] != INT8:
            main.setdefault((row["family"], row["model"]), row)
    return main


def _is_comparable(row: Row, main: Row | None) -> bool:
    """Return whether a measurement counts beside the first one of its model."""
    # A device may have measured int8 alone.
    if main is None:
        return True
    if row.get("device") != main.get("device"):
        return False
    return row["precision"] in (INT8, main["precision"])


def _variant_name(row: Row, main: Row | None, *, is_named: bool) -> str | None:
    """Return the runtime, or what differs from the main variant; None for that variant."""
    differing = [row[name] for name in VARIANT_COLUMNS if main and row[name] != main[name]]
    if main and not differing and not is_named:
        return None
    # Runtimes have one memory format, and int8 is named by the mode of the candidate.
    return row["variant"] if row["variant"] in RUNTIMES else ", ".join(differing)


def _way(row: Row, name: str | None) -> WayToRun:
    return WayToRun(
        name,
        _latency(row),
        _costs(row),
        row.get("device"),
        tuple(row.get("energy_j_per_image_rounds") or ()),
        is_int8=row["precision"] == INT8,
        runtime=row["variant"] if row["variant"] in RUNTIMES else None,
    )


def _latency(row: Row) -> Latency:
    rounds = tuple(row.get("ratio_rounds") or ())
    return Latency(row["latency_ms_p50"], row["latency_ms_p90"], bool(row["valid"]), rounds)


def _costs(row: Row) -> dict[str, float | None]:
    costs = {cost.column: row.get(cost.column) for cost in COST_BUDGETS.values()}
    # Of repetitions on a CPU the largest is compared with a budget; earlier profiles have one.
    highest = row.get("peak_memory_mib_highest")
    return costs if highest is None else {**costs, "peak_memory_mib": highest}


def refused_ways(measurements: Iterable[Row]) -> set[RefusedWay]:
    """Return the networks that fail on another device or answer wrongly there.

    Another network of the model may have been measured at the same cost.
    """
    refused = set()
    for row in measurements:
        for trained in row["unusable"]:
            cell = Cell(row["family"], row["model"], trained)
            is_int8 = row["precision"] == INT8
            refused.add(RefusedWay(cell, row["resolution"], row["variant"], is_int8))
    return refused


def main_latencies(ways: WaysToRun) -> dict[Cell, Latency]:
    """Return the latency of every cell in the main variant of its model."""
    return {
        cell: way.latency
        for cell, of_cell in ways.items()
        for way in of_cell
        if not way.variant
    }
