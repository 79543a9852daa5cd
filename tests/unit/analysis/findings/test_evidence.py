"""Findings about evidence: localisation, contrast, faithfulness, interventions and alarms."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap.analysis.findings.evidence import (
    alarm_places,
    contrast,
    corrected_relevance,
    evidence_alarms,
    faithful_methods,
    faithfulness_gains,
    faithfulness_of_model,
    interventions_of_model,
    localisation,
    medium_minus_fine,
)
from resomap.analysis.sanity_check import drop_failed_methods, failed_methods
from resomap.analysis.tables import Tables, read_tables
from tests.synthetic import Sweep, aggregate

RUN = {"family": "custom", "model": "net", "resolution": 48, "seed": 0}
CELL = {"family": "custom", "model": "net", "resolution": 24, "group": "fine"}
NO_FAILURES: set[tuple[str, int, str]] = set()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    sweep = Sweep(models=("simple_cnn",), test=80, val=40, failed_methods=("saliency",))
    aggregate(folder, sweep)
    return read_tables(folder / "tables")


def relevance(method: str, group: str, mass: float, **run: Any) -> dict[str, Any]:
    """Return a row of explanations.csv with a best mass of 0.8."""
    masses = {"relevance_mass": mass, "relevance_mass_best": 0.8, "mask_area": 0.13}
    return {**RUN, "method": method, "group": group, **masses, **run}


def by_group(method: str, medium: float, fine: float) -> list[dict[str, Any]]:
    masses = {"all": 0.3, "medium": medium, "fine": fine}
    return [relevance(method, group, mass) for group, mass in masses.items()]


def test_relevance_is_relative_to_best_of_grid() -> None:
    runs = [relevance("gradcam", "all", 0.3), relevance("gradcam", "all", 0.5, seed=1)]
    corrected = corrected_relevance(pd.DataFrame(runs), ["resolution"])
    assert corrected.to_dict() == {48: pytest.approx(0.5)}


def test_localisation_has_part_per_passing_method_and_baseline(tables: Tables) -> None:
    failed = failed_methods(tables.sanity)
    finding = localisation(tables.explanations, failed, "simple_cnn")
    assert [part.subject["method"] for part in finding.parts] == [
        "gradcam",
        "integrated_gradients",
        "edge",
        "centre",
        "random",
    ]
    gradcam, *_, random = finding.parts
    assert gradcam.numbers["largest"].value > gradcam.numbers["smallest"].value
    area = finding.numbers["object_area"].value
    assert random.numbers["largest"].value == pytest.approx(area, abs=0.03)


def test_localisation_is_unknown_without_masks() -> None:
    rows = pd.DataFrame([relevance("gradcam", "all", np.nan)])
    assert localisation(rows, NO_FAILURES).state == "unknown"


@pytest.mark.parametrize(
    ("edge", "state", "edges_at"), [((0.3, 0.3), "shown", []), ((0.4, 0.2), "edges too", [48])]
)
def test_evidence_follows_cue_when_every_method_agrees(
    edge: tuple[float, float], state: str, edges_at: list[int]
) -> None:
    rows = by_group("gradcam", 0.4, 0.1) + by_group("saliency", 0.4, 0.1)
    finding = contrast(pd.DataFrame(rows + by_group("edge", *edge)), NO_FAILURES)
    assert finding is not None
    assert (finding.state, finding.subject["followed_at"]) == (state, [48])
    assert finding.subject["edges_at"] == edges_at


def test_one_indifferent_method_prevents_claim() -> None:
    rows = pd.DataFrame(by_group("gradcam", 0.4, 0.1) + by_group("saliency", 0.2, 0.2))
    expected = {"gradcam": 0.375, "saliency": 0.0}
    assert medium_minus_fine(rows).loc[48].to_dict() == pytest.approx(expected)
    finding = contrast(rows, NO_FAILURES)
    assert finding is not None
    assert (finding.state, finding.subject["followed_at"]) == ("not shown", [])


def test_contrast_needs_both_groups() -> None:
    assert contrast(pd.DataFrame([relevance("gradcam", "all", 0.3)]), NO_FAILURES) is None


def test_method_fails_when_most_runs_fail() -> None:
    saliency = [{**RUN, "seed": seed, "method": "saliency"} for seed in range(3)]
    rows = [row | {"passed": row["seed"] == 2} for row in saliency]
    rows += [{**RUN, "method": "edge", "passed": False}]
    rows += [{**RUN, "method": "gradcam", "passed": True}]
    failed = failed_methods(pd.DataFrame(rows))
    assert failed == {("net", 48, "saliency")}
    shares = [relevance("saliency", "all", 0.2), relevance("gradcam", "all", 0.2)]
    shares += [relevance("saliency", "all", 0.2, resolution=96)]
    kept = drop_failed_methods(pd.DataFrame(shares), failed)
    names = ["resolution", "method"]
    assert kept[names].to_numpy().tolist() == [[48, "gradcam"], [96, "saliency"]]


def test_half_of_the_runs_is_no_failure() -> None:
    rows = [{**RUN, "seed": seed, "method": "saliency"} for seed in range(2)]
    sanity = pd.DataFrame([row | {"passed": row["seed"] == 0} for row in rows])
    assert failed_methods(sanity) == set()


def order(method: str, gain: float, **run: Any) -> dict[str, Any]:
    """Return a row of faithfulness.csv."""
    scores = {"bandwidth": 6, "deletion": 0.5, "insertion": 0.5 + gain}
    return {**RUN, "method": method, **scores, **run}


def test_gain_is_relative_to_random_order_of_same_run() -> None:
    rows = [order("gradcam", 0.3), order("random", 0.1)]
    rows += [order("gradcam", 0.3, seed=1), order("random", -0.1, seed=1)]
    gains = faithfulness_gains(pd.DataFrame(rows))
    assert gains["gain"].tolist() == pytest.approx([0.2, 0.4])


@pytest.mark.parametrize(
    ("gains", "state", "methods"),
    [
        ({"gradcam": 0.3, "saliency": 0.2}, "all", ["gradcam", "saliency"]),
        ({"gradcam": 0.3, "saliency": 0.05}, "some", ["gradcam"]),
        ({"gradcam": 0.05}, "none", []),
    ],
)
def test_faithful_methods_beat_chance_and_centre(
    gains: dict[str, float], state: str, methods: list[str]
) -> None:
    references = {"random": 0.0, "centre": 0.1}
    rows = [order(method, gain) for method, gain in (gains | references).items()]
    finding = faithful_methods(faithfulness_gains(pd.DataFrame(rows)))
    assert (finding.state, finding.subject["methods"]) == (state, methods)


def test_method_below_chance_is_not_faithful() -> None:
    rows = [order("gradcam", -0.1), order("random", 0.0), order("centre", -0.3)]
    assert faithful_methods(faithfulness_gains(pd.DataFrame(rows))).state == "none"


def test_faithfulness_uses_smallest_bandwidth(tables: Tables) -> None:
    gains = faithfulness_gains(tables.faithfulness)
    finding = faithfulness_of_model(gains, "simple_cnn")
    assert finding is not None
    assert finding.subject["cells_per_side"] == 4
    assert [part.subject["method"] for part in finding.parts][-1] == "centre"
    assert finding.parts[0].numbers["smallest"].value == pytest.approx(0.2, abs=0.02)
    assert faithfulness_of_model(gains, "other") is None


def fires(**more: Any) -> dict[str, Any]:
    """Return a row of alarms.csv that fires."""
    share = {"share": 0.01, "share_low": -0.02, "share_high": 0.04}
    state = {"n": 46, "accuracy": 0.95, "state": "fires", "judged": "agrees"}
    return {**CELL, **share, **state, "images": "2 14 23", **more}


def exchanged(**more: Any) -> dict[str, Any]:
    """Return a row of interventions.csv."""
    ends = {"follows_rest": 0.96, "follows_rest_low": 0.88, "follows_rest_high": 1.0}
    return {**CELL, "kind": "exchange", "n_seeds": 2, "n": 24, "changed": 0.96, **ends, **more}


def test_alarm_has_numbers_images_and_interventions() -> None:
    interventions = [exchanged(), exchanged(group="broad"), exchanged(kind="sticker")]
    alarms = pd.DataFrame([fires(), fires(state="silent")])
    (finding,) = evidence_alarms(alarms, pd.DataFrame(interventions))
    assert finding.state == "fires"
    assert finding.numbers["share"] == (0.01, -0.02, 0.04, 46)
    assert finding.subject["images"] == ["2", "14", "23"]
    assert finding.subject["judged"] == "agrees"
    assert [part.subject["kind"] for part in finding.parts] == ["exchange", "sticker"]


def test_undecided_alarm_has_no_judgement() -> None:
    alarms = pd.DataFrame([fires(judged=float("nan"))])
    (finding,) = evidence_alarms(alarms, pd.DataFrame(columns=list(exchanged())))
    assert finding.subject["judged"] is None
    assert finding.parts == ()


def test_interventions_are_compared_at_both_ends() -> None:
    shares = {96: 0.02, 24: 0.3, 48: 0.2}
    rows = [
        exchanged(group="all", resolution=px, follows_rest=share)
        for px, share in shares.items()
    ]
    (finding,) = interventions_of_model(pd.DataFrame(rows), "net")
    assert finding.numbers["smallest"] == (0.3, 0.88, 1.0, 24)
    assert finding.numbers["largest"].value == 0.02


def alarm(resolution: int, group: str, state: str, model: str = "net") -> dict[str, Any]:
    return {"model": model, "resolution": resolution, "group": group, "state": state}


@pytest.mark.parametrize(
    ("rows", "state", "places", "models"),
    [
        ([], "unknown", None, None),
        ([alarm(24, "fine", "unknown")], "unknown", None, None),
        ([alarm(24, "fine", "silent"), alarm(24, "broad", "unknown")], "silent", None, None),
        ([alarm(24, "fine", "fires")], "fires", {24: ["fine"]}, []),
        (
            [alarm(24, "fine", "fires"), alarm(24, "fine", "silent", "other")],
            "fires",
            {24: ["fine"]},
            ["net"],
        ),
    ],
)
def test_alarm_places_name_models_unless_all(
    rows: list[dict[str, Any]], state: str, places: Any, models: Any
) -> None:
    columns = ["model", "resolution", "group", "state", "judged"]
    finding = alarm_places(pd.DataFrame(rows, columns=columns))
    assert finding.state == state
    assert finding.subject.get("places") == places
    assert finding.subject.get("models") == models


@pytest.mark.parametrize(
    ("judged", "refuted"),
    [
        (["disagrees", "disagrees"], True),
        (["disagrees", "agrees"], False),
        ([None, None], False),
    ],
)
def test_alarms_are_refuted_where_every_exchange_disagrees(
    judged: list[str | None], refuted: bool
) -> None:
    row = {"model": "net", "group": "all", "state": "fires"}
    rows = [
        {**row, "resolution": px, "judged": one}
        for px, one in zip((24, 48), judged, strict=True)
    ]
    assert alarm_places(pd.DataFrame(rows)).subject["refuted"] == refuted
