"""The sentence that heads each figure of evidence."""

from typing import Any

import numpy as np
import pandas as pd

from resomap.report.methods import FailedMethods, attribution_methods, method_name
from resomap.report.text.evidence_numbers import CONTRAST, RUN, following, unstruck_ends
from resomap.report.text.titles import listing


def evidence_title(evidence: pd.DataFrame) -> str:
    """Whether the evidence of methods that were not struck out follows the cue, or how much of it lies on the object."""
    own = evidence[evidence["method"].isin(attribution_methods(evidence))]
    if own.empty:
        return "No map was measured against a mask"
    if set(CONTRAST) <= set(own["group"]):
        where, by_edges = following(evidence)
        if where:
            first, *others = attribution_methods(own)
            who = "every method" if others else method_name(first)
            ending = ", as an edge filter's does" if set(where) <= set(by_edges) else ""
            return f"At {listing(where)} px the evidence lies on the medium stripes, not on the fine ones, by {who}{ending}"
    largest = own[(own["resolution"] == own["resolution"].max()) & (own["group"] == "all")]
    mass, area, resolution = (
        largest["relevance_mass"].mean(),
        largest["mask_area"].mean(),
        largest["resolution"].iloc[0],
    )
    return f"At {resolution} px {mass:.0%} of the relevance lies on the object, which covers {area:.0%} of the picture"


def alarm_title(alarms: pd.DataFrame) -> str:
    """Whether and where answers are right for the wrong reason, and by whom where not every model's are."""
    fires = alarms[alarms["state"] == "fires"]
    if fires.empty:
        return (
            "Nowhere is a group shown to be answered right for the wrong reason"
            if len(alarms)
            else "No answer was held against its evidence"
        )
    places = {
        px: dict.fromkeys(rows["group"].replace("all", "all pictures"))
        for px, rows in fires.groupby("resolution")
    }
    told = ", ".join(f"at {px} px {listing(groups)}" for px, groups in places.items())
    is_one = sum(map(len, places.values())) == 1 and "all" not in set(fires["group"])
    models = list(dict.fromkeys(fires["model"]))
    by = "" if len(models) == alarms["model"].nunique() else f" by {listing(models)}"
    return f"{told[0].upper()}{told[1:]} {'is' if is_one else 'are'} answered right for the wrong reason{by}"


def agreement_title(agreement: pd.DataFrame, model: str | None, struck: FailedMethods) -> str:
    """How much of the agreement of two seeds is left between the ends of the sweep, over methods that were not struck out there."""
    ends = unstruck_ends(agreement, model, struck)
    if ends.empty:
        return "Maps of two resolutions were not compared"
    where = f"Between {ends['low'].iloc[0]} and {ends['high'].iloc[0]} px"
    normalised, raw = ends["normalised"].dropna(), ends["same_seed"].dropna()
    if len(normalised):
        return f"{where} {model}'s maps keep {_span(100 * normalised, '.0f')} % of what two seeds share"
    if ends["observed"].notna().any():
        return f"{where} nothing can be told of {model}'s maps: two seeds agree no more than two pictures"
    return f"{where} {model}'s maps agree to {_span(raw, '.2f')}; one seed leaves open how well they could"


def _span(values: pd.Series, form: str) -> str:
    ends = dict.fromkeys(f"{value:{form}}" for value in (values.min(), values.max()))
    return " to ".join(ends).replace("-", "\N{MINUS SIGN}")


def faithfulness_title(gains: pd.DataFrame) -> str:
    """Which methods find what their networks use better than chance and than the centre, in every run and at every bandwidth."""
    if gains.empty:
        return "No map was tried on the network"
    table = gains.pivot_table(index=[*RUN, "bandwidth"], columns="method", values="gain")
    methods = attribution_methods(gains)
    beats = [
        method_name(name)
        for name in methods
        if (table[name].dropna() > np.maximum(table["centre"], 0)[table[name].notna()]).all()
    ]
    if not beats:
        return (
            "No method finds what the network uses better than chance and the centre everywhere"
        )
    who = (
        "Every method finds"
        if len(beats) == len(methods) > 1
        else f"{listing(beats)} {'find' if len(beats) > 1 else 'finds'}"
    )
    rest = [method_name(name) for name in methods if method_name(name) not in beats]
    others = f", {listing(rest)} {'do' if len(rest) > 1 else 'does'} not" if rest else ""
    return f"{who} what the network uses better than chance and the centre everywhere{others}"


def explanations_title(cell: dict[str, Any]) -> str:
    """Whose maps they are."""
    return f"What {cell['model']} looks at (seed {cell['seed']})"


def fooled_title(cell: dict[str, Any], fires: bool) -> str:
    """What stands at the left and what at the right."""
    where = f"{cell['model']} at {cell['resolution']} px (seed {cell['seed']})"
    if fires:
        return f"Right for the wrong reason? {where} answers all of these right, those at the left with its evidence off the object"
    return f"{where} answers all of these right, with the least evidence on the object at the left and the most at the right"


def mean_maps_title(model: str) -> str:
    """Whose maps, and why a mean can tell."""
    return f"What speaks for a class wherever the object is: mean maps of {model}"
