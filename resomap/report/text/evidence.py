"""What the evidence shows, in sentences: pure functions from tables, each claim with its number and what it is held against."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.evidence import struck_out
from resomap.report.methods import (
    BASELINE_NAMES,
    attribution_methods,
    drop_failed_methods,
    method_name,
)
from resomap.report.tables import Tables
from resomap.report.text.agreement import agreement_sentences
from resomap.report.text.alarm import exchange_sentences
from resomap.report.text.data_titles import percent
from resomap.report.text.evidence_numbers import (
    CONTRAST,
    corrected,
    faithfulness_gains,
    following,
    medium_minus_fine,
)
from resomap.report.text.titles import listing

MOST_NAMED = 6
LARGEST_ERROR = 0.05
"""Completeness error from which Integrated Gradients need more steps."""
PLACE = ["method", "model", "resolution"]


def evidence_sentences(tables: Tables, model: str, confidence: float) -> Iterator[str]:
    """How alike maps are across resolutions, where they lie, whether they follow the cue, whether the network uses what they show."""
    struck = struck_out(tables.sanity)
    yield from agreement_sentences(tables.agreement, model, struck)
    own = tables.explanations[tables.explanations["model"] == model].dropna(
        subset=["relevance_mass"]
    )
    yield from _localisation(drop_failed_methods(own, struck), model)
    yield from _faithfulness(
        drop_failed_methods(faithfulness_gains(tables.faithfulness), struck), model
    )
    yield from exchange_sentences(tables.interventions, model, confidence)


def _localisation(known: pd.DataFrame, model: str) -> Iterator[str]:
    """Corrected relevance on the object at the ends of the sweep, by methods and by what knows no network; then whether it follows the cue."""
    methods = attribution_methods(known)
    if not methods:
        return
    shares = (
        corrected(known[known["group"] == "all"], ["resolution", "method"])
        .unstack("method")
        .sort_index()
    )
    yield (
        f"Share of {model}'s positive relevance on the object, of the best that its grid allows, {_px(shares.index)}: "
        f"{_spans(shares, [*methods, *BASELINE_NAMES], '.2f')}; the object covers {known['mask_area'].mean():.2f}."
    )
    if set(CONTRAST) <= set(known.loc[known["method"].isin(methods), "group"]):
        yield _following(known)


def _px(resolutions: pd.Index) -> str:
    return " to ".join(dict.fromkeys((str(resolutions[0]), str(resolutions[-1])))) + " px"


def _spans(table: pd.DataFrame, names: Iterable[str], form: str) -> str:
    """`Grad-CAM 0.56 to 0.73, edge filter 0.34 to 0.50`, of those columns that are known at both ends."""
    ends = table.iloc[list(dict.fromkeys((0, len(table) - 1)))].dropna(axis=1)
    told = {
        name: " to ".join(f"{value:{form}}" for value in ends[name])
        for name in names
        if name in ends
    }
    return ", ".join(
        f"{BASELINE_NAMES.get(name) or method_name(name)} {values}"
        for name, values in told.items()
    ).replace(" -", " \N{MINUS SIGN}")


def _following(known: pd.DataFrame) -> str:
    differences, (where, by_edges) = medium_minus_fine(known), following(known)
    told = _signed(differences[attribution_methods(known)].mean(axis=1))
    edge = (
        f"; of an edge filter, which knows no network, {_signed(differences['edge'])}"
        if "edge" in differences
        else ""
    )
    both = [px for px in where if px in by_edges]
    ending = "nowhere does the evidence tell the two apart by every method"
    if where:
        ending = f"at {listing(where)} px the evidence follows the stripes that survive"
    if both:
        ending += (
            f", but at {listing(both)} px so do edges: the pictures alone could put it there"
        )
    return f"Relevance on medium minus relevance on fine objects, mean over methods: {told}{edge}; {ending}."


def _signed(values: pd.Series) -> str:
    return ", ".join(
        f"{round(value, 2) + 0:+.2f} at {px} px".replace("-", "\N{MINUS SIGN}")
        for px, value in values.items()
    )


def _faithfulness(gains: pd.DataFrame, model: str) -> Iterator[str]:
    """Insertion minus deletion beyond a random order's, at the bandwidth that every map has."""
    own = gains[(gains["model"] == model) & (gains["bandwidth"] == gains["bandwidth"].min())]
    if own.empty:
        return
    table = own.groupby(["resolution", "method"])["gain"].mean().unstack("method").sort_index()
    yield (
        f"Insertion minus deletion of {model} beyond a random order's, areas being restored or blurred in a map's order "
        f"({own['bandwidth'].iloc[0]} cells a side, {_px(table.index)}): {_spans(table, [*attribution_methods(own), 'centre'], '+.2f')}."
    )


def limit_sentences(tables: Tables) -> Iterator[str]:
    """Methods that the sanity gate struck out, and attributions that do not add up."""
    struck = struck_out(tables.sanity)
    kept = tables.sanity.groupby(PLACE, sort=False)["retained"].mean()
    failed = kept[
        np.array([(model, px, method) in struck for method, model, px in kept.index], bool)
    ]
    for method, places in failed.groupby(level="method", sort=False):
        yield (
            f"{method_name(str(method))} is struck out by the sanity gate, since so much of its maps stays when head and last block are drawn anew "
            f"(0 is another picture's map, 1 all of it): {_places(places)}."
        )
    errors = (
        tables.explanations[tables.explanations["group"] == "all"]
        .groupby(PLACE, sort=False)["completeness_error"]
        .mean()
    )
    large = errors[errors > LARGEST_ERROR].sort_values(ascending=False, kind="stable")
    if len(large):
        yield (
            f"Integrated Gradients do not add up to what the picture changed, {percent(large.iloc[0])} off at the most: {_places(large)}. "
            "More explainability.ig_steps make it less."
        )


def _places(values: pd.Series) -> str:
    """`tiny_cnn at 24 px (0.34), simple_cnn at 24 px (0.31)`, the first MOST_NAMED."""
    named: list[Any] = [
        f"{model} at {px} px ({value:.2f})" for (_, model, px), value in values.items()
    ]
    more = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
    return listing(named[:MOST_NAMED] + more)
