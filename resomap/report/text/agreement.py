"""How alike maps are across resolutions, in sentences: a finding only where methods of two kinds tell the same."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from resomap.report.methods import BASELINE_NAMES, FailedMethods, method_name
from resomap.report.text.evidence_numbers import (
    ends_of,
    plain,
    raw,
    reading_name,
    unstruck_ends,
    widest,
)
from resomap.report.text.titles import listing

CONTROLS = {"gradcam", "integrated_gradients"}
"""A finding stands only where these tell the same."""
VERDICTS = {
    "alike": "as alike as two seeds'",
    "between": "less alike than two seeds', more than two pictures'",
    "apart": "no more alike than two pictures'",
    "open": "beyond telling, since two seeds' are no more alike than two pictures'",
}


def agreement_sentences(
    agreement: pd.DataFrame, model: str, struck: FailedMethods
) -> Iterator[str]:
    """Maps of a model at the ends of the sweep: the finding, where one stands, every method's numbers, and what has learnt nothing."""
    ends = unstruck_ends(agreement, model, struck)
    if ends.empty:
        return
    if ends["observed"].isna().all():
        told = [
            f"{_name(row)} {plain(row['same_seed'])} (floor {plain(row['floor'])})"
            for row in ends.to_dict("records")
        ]
        yield f"With one seed nothing tells how alike {_maps(ends, model)} could be; raw agreement: {', '.join(told)}."
    else:
        yield _finding(ends, model)
    yield from _references(agreement[agreement["model"] == model], ends.iloc[0])


def _maps(ends: pd.DataFrame, model: str) -> str:
    return f"{model}'s maps at {ends['low'].iloc[0]} and {ends['high'].iloc[0]} px"


def _name(row: Any) -> str:
    return reading_name(row["method"], row["block"])


def _finding(ends: pd.DataFrame, model: str) -> str:
    rows = ends.to_dict("records")
    verdicts = [_verdict(row) for row in rows]
    common = _common(
        {(row["method"], verdict) for row, verdict in zip(rows, verdicts, strict=True)}
    )
    if common is None:
        lacking = sorted(CONTROLS - set(ends["method"]))
        why = (
            f"without {listing(map(method_name, lacking))}"
            if lacking
            else "since Grad-CAM and Integrated Gradients tell different things"
        )
        head = f"How alike {_maps(ends, model)} are stays open {why}"
    else:
        who = (
            "every method"
            if set(verdicts) == {common}
            else listing(map(method_name, sorted(CONTROLS)))
        )
        head = f"{_maps(ends, model)} are {VERDICTS[common]}, by {who}"
    told = [
        f"{_numbers(row)}{'' if own == common else f', {VERDICTS[own]}'}"
        for row, own in zip(rows, verdicts, strict=True)
    ]
    return f"{head} (0 is another picture's map, 1 another seed's): {'; '.join(told)}."


def _verdict(row: dict[Any, Any]) -> str:
    if pd.isna(row["normalised"]):
        return "open"
    return (
        "alike"
        if row["normalised_high"] >= 1
        else "between"
        if row["normalised_low"] > 0
        else "apart"
    )


def _common(said: Iterable[tuple[str, str]]) -> str | None:
    """What Grad-CAM, by either block, and Integrated Gradients all say; None where they differ or are not both there."""
    controls = [(method, verdict) for method, verdict in said if method in CONTROLS]
    verdicts = {verdict for _, verdict in controls}
    return (
        verdicts.pop()
        if {method for method, _ in controls} == CONTROLS and len(verdicts) == 1
        else None
    )


def _numbers(row: dict[Any, Any]) -> str:
    between = f"raw {plain(row['observed'])} between floor {plain(row['floor'])} and ceiling {plain(row['ceiling'])}"
    if pd.isna(row["normalised"]):
        return f"{_name(row)} {between}"
    return f"{_name(row)} {plain(row['normalised'])} (95 % interval {ends_of(row, 'normalised')}; {between})"


def _references(of_model: pd.DataFrame, row: Any) -> Iterator[str]:
    """Raw agreement of baselines, and of an untrained network by the first method."""
    known = widest(
        of_model[(of_model["measure"] == "spearman") & (of_model["population"] == "all")]
    )
    baselines = known[known["method"].isin(BASELINE_NAMES)].to_dict("records")
    untrained = known[(known["network"] == "untrained") & (known["method"] == row["method"])][
        :1
    ].to_dict("records")
    told = [f"{BASELINE_NAMES[found['method']]} {plain(raw(found))}" for found in baselines]
    told += [
        f"an untrained network ({_name(found)}) {plain(raw(found))}" for found in untrained
    ]
    if told:
        yield f"Raw agreement of maps that have learnt nothing: {', '.join(told)}."
