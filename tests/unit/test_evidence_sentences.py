from typing import Any

import pandas as pd
import pytest

from resomap.report.tables import Tables, read_tables
from resomap.report.text.agreement import agreement_sentences
from resomap.report.text.alarm import MOST_ALARMS, exchange_sentences, wrong_reason_sentences
from resomap.report.text.evidence import evidence_sentences, limit_sentences
from resomap.report.text.limits import limit_sentences as all_limits
from tests.synthetic import Sweep
from tests.unit.test_tables import aggregate

CELL = {"family": "custom", "model": "net", "resolution": 24, "group": "fine"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    aggregate(folder, Sweep(models=("simple_cnn",), test=80, val=40, struck=("saliency",)))
    return read_tables(folder / "tables")


def compared(
    method: str, middle: float | None, block: str = "input", **more: Any
) -> dict[str, Any]:
    ends = (
        {}
        if middle is None
        else {"normalised_low": middle - 0.1, "normalised_high": middle + 0.1}
    )
    kind = {
        "network": "trained",
        "population": "all",
        "measure": "spearman",
        "low": 24,
        "high": 96,
    }
    raw = {"observed": 0.3, "same_seed": 0.35, "floor": 0.05, "ceiling": 0.55}
    return {
        "model": "net",
        "method": method,
        "block": block,
        **kind,
        **raw,
        "normalised": middle,
        **ends,
        **more,
    }


def told(*rows: dict[str, Any]) -> list[str]:
    return list(agreement_sentences(pd.DataFrame(rows), "net", set()))


def test_a_finding_on_agreement_has_its_floor_ceiling_and_interval() -> None:
    assert told(
        compared("gradcam", 0.5, "rule"),
        compared("gradcam", 0.45, "fixed"),
        compared("integrated_gradients", 0.4),
    ) == [
        "net's maps at 24 and 96 px are less alike than two seeds', more than two pictures', by every method "
        "(0 is another picture's map, 1 another seed's): "
        "Grad-CAM 0.50 (95 % interval 0.40–0.60; raw 0.30 between floor 0.05 and ceiling 0.55); "
        "Grad-CAM, one block 0.45 (95 % interval 0.35–0.55; raw 0.30 between floor 0.05 and ceiling 0.55); "
        "Integrated Gradients 0.40 (95 % interval 0.30–0.50; raw 0.30 between floor 0.05 and ceiling 0.55)."
    ]


def test_who_disagrees_with_a_finding_is_named() -> None:
    said = told(
        compared("gradcam", 0.95, "rule"),
        compared("integrated_gradients", 1.2),
        compared("saliency", 0.02),
    )[0]
    assert said.startswith(
        "net's maps at 24 and 96 px are as alike as two seeds', by Grad-CAM and Integrated Gradients ("
    )
    assert said.endswith(
        "Saliency 0.02 (95 % interval −0.08 to 0.12; raw 0.30 between floor 0.05 and ceiling 0.55), no more alike than two pictures'."
    )


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            [compared("gradcam", 0.5, "rule"), compared("integrated_gradients", 1.0)],
            "since Grad-CAM and Integrated Gradients tell different things",
        ),
        (
            [
                compared("gradcam", 0.5, "rule"),
                compared("gradcam", 1.0, "fixed"),
                compared("integrated_gradients", 0.5),
            ],
            "since Grad-CAM and Integrated Gradients tell different things",
        ),
        (
            [compared("gradcam", 0.5, "rule"), compared("saliency", 0.5)],
            "without Integrated Gradients",
        ),
    ],
)
def test_no_finding_stands_without_two_kinds_of_methods_that_agree(
    rows: list[dict[str, Any]], why: str
) -> None:
    assert told(*rows)[0].startswith(
        f"How alike net's maps at 24 and 96 px are stays open {why} ("
    )


def test_a_ceiling_at_the_floor_gives_no_number() -> None:
    said = told(
        compared("gradcam", None, "rule", ceiling=0.06),
        compared("integrated_gradients", None, ceiling=0.06),
    )[0]
    assert (
        "beyond telling, since two seeds' are no more alike than two pictures', by every method"
        in said
    )
    assert said.endswith(
        "Grad-CAM raw 0.30 between floor 0.05 and ceiling 0.06; Integrated Gradients raw 0.30 between floor 0.05 and ceiling 0.06."
    )


def test_one_seed_has_no_ceiling() -> None:
    assert told(compared("gradcam", None, "rule", observed=None, ceiling=None)) == [
        "With one seed nothing tells how alike net's maps at 24 and 96 px could be; raw agreement: Grad-CAM 0.35 (floor 0.05)."
    ]


def test_maps_that_have_learnt_nothing_stand_beside() -> None:
    edge = compared("edge", None, "picture", network="none", observed=0.8)
    untrained = compared("gradcam", None, "fixed", network="untrained", observed=0.1)
    assert told(compared("gradcam", 0.5, "rule"), edge, untrained)[-1] == (
        "Raw agreement of maps that have learnt nothing: edge filter 0.80, an untrained network (Grad-CAM, one block) 0.10."
    )


def test_evidence_is_told_with_what_knows_no_network_and_without_what_was_struck_out(
    tables: Tables,
) -> None:
    said = list(evidence_sentences(tables, "simple_cnn", 0.95))
    share = next(one for one in said if one.startswith("Share of"))
    assert share.startswith(
        "Share of simple_cnn's positive relevance on the object, of the best that its grid allows, 24 to 96 px: Grad-CAM 0."
    )
    assert "edge filter 0." in share
    assert "Saliency" not in " ".join(said)
    following = next(one for one in said if one.startswith("Relevance on medium"))
    assert following.endswith("at 48 px the evidence follows the stripes that survive.")
    faithful = next(one for one in said if one.startswith("Insertion"))
    assert "a map's order (4 cells a side, 24 to 96 px): Grad-CAM +0." in faithful
    assert "Saliency" not in faithful


def test_an_edge_filter_that_follows_the_stripes_takes_the_credit(tables: Tables) -> None:
    rows = tables.explanations
    edge = rows["method"] == "edge"
    follows = rows[edge].assign(
        relevance_mass=rows["group"].map({"medium": 0.5, "fine": 0.2}).fillna(0.3)
    )
    changed = Tables(**{**vars(tables), "explanations": pd.concat([rows[~edge], follows])})
    assert any(
        one.endswith("but at 48 px so do edges: the pictures alone could put it there.")
        for one in evidence_sentences(changed, "simple_cnn", 0.95)
    )


def fires(**more: Any) -> dict[str, Any]:
    numbers = {"n": 46, "accuracy": 0.95, "share": 0.01, "share_low": -0.02, "share_high": 0.04}
    return {
        **CELL,
        **numbers,
        "state": "fires",
        "judged": "agrees",
        "pictures": "2 14 23",
        **more,
    }


def exchanged(**more: Any) -> dict[str, Any]:
    ends = {"follows_rest": 0.96, "follows_rest_low": 0.88, "follows_rest_high": 1.0}
    return {**CELL, "kind": "exchange", "n_seeds": 2, "n": 24, "changed": 0.96, **ends, **more}


def test_an_alarm_has_its_numbers_its_pictures_and_its_judge() -> None:
    interventions = pd.DataFrame(
        [
            exchanged(),
            exchanged(group="broad", follows_rest=0.0),
            exchanged(kind="sticker", follows_rest=0.99),
        ]
    )
    assert list(
        wrong_reason_sentences(
            pd.DataFrame([fires(), fires(state="silent")]), interventions, 0.95
        )
    ) == [
        "Right answer, wrong reason? net at 24 px answers fine pictures right (accuracy 0.95) with 0.01 of its evidence on the object "
        "(95 % interval −0.02 to 0.04, n = 46), where 0 is chance and 1 all that its grids allow; test pictures 2, 14 and 23. "
        "The judge agrees: with everything but the object exchanged, 96 % (88–100 %, n = 24) of the answers follow the change; "
        "with the sticker reversed, 99 % (88–100 %, n = 24) of the answers follow the change."
    ]


def test_an_alarm_that_nobody_judged_says_so() -> None:
    said = next(
        wrong_reason_sentences(
            pd.DataFrame([fires(judged=float("nan"))]),
            pd.DataFrame(columns=list(exchanged())),
            0.95,
        )
    )
    assert said.endswith("No intervention judged it.")


def test_many_alarms_are_counted() -> None:
    alarms = pd.DataFrame([fires(resolution=px) for px in range(24, 24 + MOST_ALARMS + 2)])
    assert (
        list(wrong_reason_sentences(alarms, pd.DataFrame([exchanged()]), 0.95))[-1]
        == "2 more such alarms stand in results/tables/alarms.csv."
    )


def test_an_exchange_is_told_at_the_ends_of_the_sweep() -> None:
    rows = [
        exchanged(group="all", resolution=px, follows_rest=share)
        for px, share in ((96, 0.02), (24, 0.3), (48, 0.2))
    ]
    assert list(exchange_sentences(pd.DataFrame(rows), "net", 0.95)) == [
        "With everything but the object exchanged, 30 % (95 % interval 88–100 %, n = 24) at 24 px and 2 % (88–100 %, n = 24) at 96 px of net's "
        "answers follow the change; of coin tosses half do."
    ]


def test_what_the_gate_struck_out_is_a_limit(tables: Tables) -> None:
    said = list(limit_sentences(tables))
    assert len(said) == 1
    assert said[0].startswith(
        "Saliency is struck out by the sanity gate, since so much of its maps stays when head and last block are drawn anew"
    )
    assert said[0].endswith(
        "simple_cnn at 24 px (0.79), simple_cnn at 48 px (0.79) and simple_cnn at 96 px (0.79)."
    )
    assert said[0] in all_limits(tables, 96)


def test_attributions_that_do_not_add_up_are_a_limit(tables: Tables) -> None:
    rows = tables.explanations
    errors = rows["completeness_error"].where(
        rows["resolution"] != 96, rows["completeness_error"] * 6
    )
    changed = Tables(**{**vars(tables), "explanations": rows.assign(completeness_error=errors)})
    assert list(limit_sentences(changed))[-1] == (
        "Integrated Gradients do not add up to what the picture changed, 12 % off at the most: simple_cnn at 96 px (0.12). "
        "More explainability.ig_steps make it less."
    )
