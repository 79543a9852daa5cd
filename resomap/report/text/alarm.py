"""The alarm in sentences: right answers whose evidence has left the object, and what an exchange says about them."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from resomap.analysis.verdict import cell_name
from resomap.report.text.data_titles import percent
from resomap.report.text.evidence_numbers import ends_of, plain
from resomap.report.text.titles import listing

INTERVENTIONS = {
    "exchange": "with everything but the object exchanged",
    "sticker": "with the sticker reversed",
}
CELL = ["family", "model", "resolution", "group"]
MOST_ALARMS = 6


def wrong_reason_sentences(
    alarms: pd.DataFrame, interventions: pd.DataFrame, confidence: float
) -> Iterator[str]:
    """A group is answered right while the evidence has left the object: with its numbers, its pictures, and what its judge says."""
    fires = alarms[alarms["state"] == "fires"]
    for row in fires[:MOST_ALARMS].to_dict("records"):
        changed = interventions.merge(pd.DataFrame([row])[CELL], on=CELL)
        yield (
            f"Right answer, wrong reason? {cell_name(row)} answers {'' if row['group'] == 'all' else row['group'] + ' '}pictures right (accuracy "
            f"{row['accuracy']:.2f}) with {plain(row['share'])} of its evidence on the object ({100 * confidence:g} % interval "
            f"{ends_of(row, 'share')}, n = {row['n']}), where 0 is chance and 1 all that its grids allow; test pictures "
            f"{listing(str(row['pictures']).split())}. {_judge(row, changed)}"
        )
    if len(fires) > MOST_ALARMS:
        yield f"{len(fires) - MOST_ALARMS} more such alarms stand in results/tables/alarms.csv."


def _judge(row: dict[Any, Any], changed: pd.DataFrame) -> str:
    if pd.isna(row["judged"]):
        return "No intervention judged it."
    told = [
        f"{INTERVENTIONS[one['kind']]}, {followed(one)} of the answers follow the change"
        for one in changed.to_dict("records")
    ]
    return f"The judge {row['judged']}: {'; '.join(told)}."


def exchange_sentences(
    interventions: pd.DataFrame, model: str, confidence: float
) -> Iterator[str]:
    """How many of all answers follow what was exchanged, at the ends of the sweep."""
    of_all = interventions[
        (interventions["model"] == model) & (interventions["group"] == "all")
    ].sort_values("resolution")
    for kind, rows in of_all.groupby("kind", sort=False):
        first, *last = rows.iloc[list(dict.fromkeys((0, len(rows) - 1)))].to_dict("records")
        told = [
            f"{followed(first, confidence)} at {first['resolution']} px",
            *(f"{followed(row)} at {row['resolution']} px" for row in last),
        ]
        yield f"{INTERVENTIONS[str(kind)].capitalize()}, {listing(told)} of {model}'s answers follow the change; of coin tosses half do."


def followed(row: Any, confidence: float | None = None) -> str:
    """`96 % (88-100 %, n = 24)` of the answers, and what the interval is where the confidence is given."""
    said = "" if confidence is None else f"{100 * confidence:g} % interval "
    ends = (
        f"{100 * row['follows_rest_low']:.0f}\N{EN DASH}{100 * row['follows_rest_high']:.0f} %"
    )
    return f"{percent(row['follows_rest'])} ({said}{ends}, n = {row['n']})"
