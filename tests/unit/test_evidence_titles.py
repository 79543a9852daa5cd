from typing import Any

import pandas as pd
import pytest

from resomap.analysis.evidence import struck_out
from resomap.report.methods import drop_failed_methods
from resomap.report.text import evidence_titles
from resomap.report.text.evidence_numbers import (
    corrected,
    faithfulness_gains,
    following,
    medium_minus_fine,
    widest,
)

RUN = {"family": "custom", "model": "net", "resolution": 48, "seed": 0}


def relevance(
    method: str, group: str, mass: float, best: float = 0.8, **run: Any
) -> dict[str, Any]:
    return {
        **RUN,
        "method": method,
        "group": group,
        "relevance_mass": mass,
        "relevance_mass_best": best,
        "mask_area": 0.13,
        **run,
    }


def alarm(resolution: int, group: str, state: str, model: str = "net") -> dict[str, Any]:
    return {"model": model, "resolution": resolution, "group": group, "state": state}


def order(method: str, gain: float, **run: Any) -> dict[str, Any]:
    return {
        **RUN,
        "method": method,
        "bandwidth": 6,
        "deletion": 0.5,
        "insertion": 0.5 + gain,
        **run,
    }


def agreement(
    low: int, high: int, normalised: float | None, method: str = "gradcam", **more: Any
) -> dict[str, Any]:
    kind = {"network": "trained", "population": "all", "measure": "spearman", "block": "rule"}
    return {
        "model": "net",
        "method": method,
        **kind,
        "low": low,
        "high": high,
        "normalised": normalised,
        "observed": 0.3,
        "same_seed": 0.4,
        **more,
    }


def test_relevance_is_told_as_a_share_of_what_the_grid_allows() -> None:
    runs = pd.DataFrame(
        [relevance("gradcam", "all", 0.3), relevance("gradcam", "all", 0.5, seed=1)]
    )
    assert corrected(runs, ["resolution"]).to_dict() == {48: pytest.approx(0.5)}


def test_evidence_follows_the_cue_where_every_method_says_so_and_an_edge_filter_is_named_when_it_says_the_same() -> (
    None
):
    rows = [
        relevance(method, group, mass)
        for method in ("gradcam", "saliency")
        for group, mass in (("all", 0.3), ("medium", 0.4), ("fine", 0.1))
    ]
    edge = [relevance("edge", group, mass) for group, mass in (("medium", 0.4), ("fine", 0.2))]
    calm = [relevance("edge", group, 0.3) for group in ("medium", "fine")]
    said = "At 48 px the evidence lies on the medium stripes, not on the fine ones, by every method"
    assert evidence_titles.evidence_title(pd.DataFrame(rows + calm)) == said
    assert (
        evidence_titles.evidence_title(pd.DataFrame(rows + edge))
        == f"{said}, as an edge filter's does"
    )
    assert following(pd.DataFrame(rows + edge)) == ([48], [48])


def test_one_method_that_sees_no_difference_keeps_the_claim_back() -> None:
    rows = [
        relevance("gradcam", "medium", 0.4),
        relevance("gradcam", "fine", 0.1),
        relevance("saliency", "medium", 0.2),
        relevance("saliency", "fine", 0.2),
    ]
    table = pd.DataFrame(
        [*rows, relevance("gradcam", "all", 0.26), relevance("saliency", "all", 0.2)]
    )
    assert medium_minus_fine(table).loc[48].to_dict() == pytest.approx(
        {"gradcam": 0.375, "saliency": 0.0}
    )
    assert (
        evidence_titles.evidence_title(table)
        == "At 48 px 23% of the relevance lies on the object, which covers 13% of the picture"
    )


def test_a_method_that_was_struck_out_has_no_say() -> None:
    sanity = pd.DataFrame(
        [{**RUN, "seed": seed, "method": "saliency", "passed": seed == 2} for seed in range(3)]
    )
    sanity = pd.concat(
        [
            sanity,
            pd.DataFrame(
                [
                    {**RUN, "method": "edge", "passed": False},
                    {**RUN, "method": "gradcam", "passed": True},
                ]
            ),
        ]
    )
    assert struck_out(sanity) == {("net", 48, "saliency")}
    rows = pd.DataFrame(
        [
            relevance("saliency", "all", 0.2),
            relevance("saliency", "all", 0.2, resolution=96),
            relevance("gradcam", "all", 0.2),
        ]
    )
    kept = drop_failed_methods(rows, struck_out(sanity))
    assert kept[["resolution", "method"]].to_numpy().tolist() == [
        [96, "saliency"],
        [48, "gradcam"],
    ]


def test_half_of_the_runs_strike_nothing_out() -> None:
    sanity = pd.DataFrame(
        [{**RUN, "seed": seed, "method": "saliency", "passed": seed == 0} for seed in range(2)]
    )
    assert struck_out(sanity) == set()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "No answer was held against its evidence"),
        (
            [alarm(24, "fine", "silent"), alarm(24, "broad", "unknown")],
            "Nowhere is a group shown to be answered right for the wrong reason",
        ),
        ([alarm(24, "fine", "fires")], "At 24 px fine is answered right for the wrong reason"),
        (
            [
                alarm(24, "medium", "fires"),
                alarm(24, "fine", "fires"),
                alarm(48, "fine", "fires"),
            ],
            "At 24 px medium and fine, at 48 px fine are answered right for the wrong reason",
        ),
        (
            [alarm(24, "fine", "fires"), alarm(24, "fine", "silent", "other")],
            "At 24 px fine is answered right for the wrong reason by net",
        ),
        (
            [alarm(24, "all", "fires")],
            "At 24 px all pictures are answered right for the wrong reason",
        ),
    ],
)
def test_the_title_says_whether_and_where_an_alarm_fires(
    rows: list[dict[str, Any]], told: str
) -> None:
    assert (
        evidence_titles.alarm_title(
            pd.DataFrame(rows, columns=["model", "resolution", "group", "state"])
        )
        == told
    )


def test_agreement_is_told_between_the_ends_of_the_sweep_over_methods_that_passed_the_gate() -> (
    None
):
    rows = [
        agreement(24, 48, 0.9),
        agreement(24, 96, 0.3),
        agreement(24, 96, 0.42, "integrated_gradients"),
        agreement(24, 96, 1.2, "saliency"),
    ]
    title = evidence_titles.agreement_title(
        pd.DataFrame(rows), "net", {("net", 96, "saliency")}
    )
    assert title == "Between 24 and 96 px net's maps keep 30 to 42 % of what two seeds share"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([agreement(24, 24, None)], "Maps of two resolutions were not compared"),
        (
            [agreement(24, 48, None)],
            "Between 24 and 48 px nothing can be told of net's maps: two seeds agree no more than two pictures",
        ),
        (
            [agreement(24, 48, None, observed=None)],
            "Between 24 and 48 px net's maps agree to 0.40; one seed leaves open how well they could",
        ),
    ],
)
def test_what_agreement_means_nothing_is_said_to_mean_nothing(
    rows: list[dict[str, Any]], told: str
) -> None:
    assert evidence_titles.agreement_title(pd.DataFrame(rows), "net", set()) == told


def test_the_widest_comparison_has_two_resolutions() -> None:
    rows = pd.DataFrame(
        [
            agreement(24, 24, None),
            agreement(24, 96, 0.3),
            agreement(48, 96, 0.5),
            agreement(96, 96, None),
        ]
    )
    assert widest(rows)[["low", "high"]].to_numpy().tolist() == [[24, 96]]
    assert widest(rows[:1]).empty


def test_a_gain_is_what_an_order_adds_to_the_random_one_of_the_same_run_and_bandwidth() -> None:
    rows = [
        order("gradcam", 0.3),
        order("random", 0.1),
        order("gradcam", 0.3, seed=1),
        order("random", -0.1, seed=1),
    ]
    gains = faithfulness_gains(pd.DataFrame(rows))
    assert gains[["method", "gain"]].to_numpy().tolist() == [
        ["gradcam", pytest.approx(0.2)],
        ["gradcam", pytest.approx(0.4)],
    ]


@pytest.mark.parametrize(
    ("gains", "told"),
    [
        (
            {"gradcam": 0.3, "saliency": 0.2},
            "Every method finds what the network uses better than chance and the centre everywhere",
        ),
        (
            {"gradcam": 0.3, "saliency": 0.05},
            "Grad-CAM finds what the network uses better than chance and the centre everywhere, Saliency does not",
        ),
        (
            {"gradcam": 0.05},
            "No method finds what the network uses better than chance and the centre everywhere",
        ),
    ],
)
def test_a_method_is_faithful_where_it_beats_chance_and_the_centre(
    gains: dict[str, float], told: str
) -> None:
    rows = [
        order(method, gain) for method, gain in {**gains, "random": 0.0, "centre": 0.1}.items()
    ]
    assert evidence_titles.faithfulness_title(faithfulness_gains(pd.DataFrame(rows))) == told


def test_a_method_that_loses_to_chance_is_not_faithful_even_where_the_centre_loses_more() -> (
    None
):
    rows = [order("gradcam", -0.1), order("random", 0.0), order("centre", -0.3)]
    assert evidence_titles.faithfulness_title(
        faithfulness_gains(pd.DataFrame(rows))
    ).startswith("No method")
