"""What resolution costs, in sentences: pure functions from tables, each claim with its number and interval."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from resomap.analysis.cost import ALARM, SAVES
from resomap.analysis.measurements import primary, single
from resomap.analysis.verdict import cell_name, milliseconds
from resomap.report.tables import Tables
from resomap.report.text.cost_titles import (
    breakdown_title,
    joules,
    latency_growth,
    mode_name,
    pixel_growth,
)
from resomap.report.text.data_titles import percent

MOST_MODELS, MOST_ALARMS = 4, 6


def cost_sentences(tables: Tables, confidence: float) -> Iterator[str]:
    """What a picture costs each model and how that grows with resolution, then where the time goes, then energy."""
    for count, (model, rows) in enumerate(single(tables.profiles).groupby("model", sort=False)):
        if count < MOST_MODELS:
            growth = primary(tables.cost[tables.cost["model"] == model], tables.profiles)
            yield (
                _latencies(str(model), rows)
                + _exponents(growth, confidence if count == 0 else None)
                + _crossover(growth)
            )
    if len(tables.stages):
        title = breakdown_title(tables.stages)
        yield f"From file to answer, {title[0].lower()}{title[1:]}."
    yield from _energy(tables)


def _latencies(model: str, rows: pd.DataFrame) -> str:
    told = f"{model} takes {_latency(rows.iloc[0])}"
    if len(rows) == 1:
        return f"{told}."
    return f"{told} and {_latency(rows.iloc[-1])}: {latency_growth(rows):.2g} times the latency for {pixel_growth(rows):.3g} times the pixels."


def _latency(row: pd.Series) -> str:
    return f"{milliseconds(row['latency_ms_p50'])} a picture at {row['resolution']} px (p90 {milliseconds(row['latency_ms_p90'])})"


def _exponents(growth: pd.DataFrame, confidence: float | None) -> str:
    """Of the latency of one picture, and of the memory of the largest batch."""
    known = growth.dropna(subset="latency_exponent").sort_values("batch_size")
    if known.empty or known["batch_size"].iloc[0] != 1:
        return ""
    one, most = known.iloc[0], known.iloc[-1]
    said = "" if confidence is None else f"{100 * confidence:g} % interval"
    latency = f"{_interval(one, 'latency_exponent', said)}, to within {percent(one['latency_misfit'])} at every size"
    memory = _interval(most, "memory_exponent", "from step to step")
    return f" Latency grows as the pixels to the power {latency}; peak memory at batch {most['batch_size']} to the power {memory}."


def _interval(row: Any, name: str, said: str = "") -> str:
    """`0.63 (95 % interval 0.61-0.65)`, where `said` names the interval."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    ends = (
        f"{low:.2f}\N{EN DASH}{high:.2f}"
        if low >= 0
        else f"\N{MINUS SIGN}{-low:.2f} to {high:.2f}"
    )
    return f"{row[name]:.2f} ({said}{' ' if said else ''}{ends})"


def _crossover(growth: pd.DataFrame) -> str:
    """Under which resolution a smaller picture saves nothing at batch 1."""
    found = growth[(growth["batch_size"] == 1) & growth["crossover_px"].notna()]
    if found.empty:
        return ""
    row = found.iloc[0]
    saves = (
        "saves nothing" if row["crossover_ratio_high"] <= SAVES else "is not shown to save time"
    )
    took = f"{row['crossover_px']:.0f} px take {_interval(row, 'crossover_ratio')} times as long as {row['smallest']} px"
    return f" Under {row['crossover_px']:.0f} px a smaller picture {saves}: {took}."


def inversion_sentences(neighbours: pd.DataFrame) -> Iterator[str]:
    """The alarm: a larger picture is shown to be faster than a smaller one."""
    inverted = neighbours[neighbours["verdict"] == "inverted"]
    for row in inverted[:MOST_ALARMS].to_dict("records"):
        yield (
            f"A larger picture is faster: {row['model']} takes {_interval(row, 'ratio')} times as long at {row['larger']} px as at "
            f"{row['resolution']} px ({mode_name(row['variant'])}, batch {row['batch_size']}; shown with {100 * ALARM:g} % confidence for "
            f"all {len(neighbours)} steps at once). Something other than pixels decides its time there."
        )
    if len(inverted) > MOST_ALARMS:
        yield f"{len(inverted) - MOST_ALARMS} more such steps stand in results/tables/neighbours.csv."


def _energy(tables: Tables) -> Iterator[str]:
    """Of the chosen cell, and where a watt gives most."""
    known = primary(tables.energy, tables.profiles)
    if known.empty:
        return
    best = known.loc[known["images_per_second_per_watt"].idxmax()]
    choice = tables.choice["choice"] or {}
    own = known[
        (known["model"] == choice.get("model"))
        & (known["resolution"] == choice.get("resolution"))
    ]
    if len(own):
        yield _picture(own.loc[own["energy_j_per_image"].idxmin()])
    ends = f"{best['images_per_second_per_watt_low']:.3g}\N{EN DASH}{best['images_per_second_per_watt_high']:.3g}"
    yield f"Most pictures a second a watt: {cell_name(best)}, {best['images_per_second_per_watt']:.3g} ({ends}) at batch {best['batch_size']}."


def _picture(row: pd.Series) -> str:
    correct = [row[f"energy_j_per_correct_image{end}"] for end in ("", "_low", "_high")]
    each, low, high = (joules(value) for value in correct)
    idle = joules(row["energy_j_per_image_above_idle"])
    return f"{cell_name(row)} takes {joules(row['energy_j_per_image'])} a picture at batch {row['batch_size']} ({idle} above idle), {each} a correct one ({low} to {high})."
