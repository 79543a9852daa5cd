"""Candidates: which networks away from their training are weighed, and how they are run."""

from collections.abc import Mapping

import numpy as np
import pytest

from resomap.analysis.decision.budgets import shared_error
from resomap.analysis.decision.candidates import (
    PROFILES,
    Candidate,
    CellEvidence,
    Deployment,
    RefusedWay,
    WayToRun,
    cheapest_ways,
    list_candidates,
)
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.precision_loss import PrecisionLoss
from resomap.analysis.predictions import Cell, Predictions
from resomap.analysis.statistics import Interval
from resomap.workflow.predictions import PredictionMode
from tests.synthetic import report_rules

SIZES = (48, 96, 128)
Accuracies = Mapping[tuple[int, PredictionMode, int], float]
AS_TRAINED: Accuracies = {(48, "raw", 48): 0.8, (96, "raw", 96): 0.88, (128, "raw", 128): 0.89}


def correctness(accuracy: float, images: int, seed: int) -> np.ndarray:
    """Draw two seeds that get the first images right, and differ in a few."""
    rng = np.random.default_rng([seed, round(1000 * accuracy)])
    right = np.tile(np.arange(images) < round(accuracy * images), (2, 1))
    flipped = rng.integers(0, images, (2, images // 100))
    for row, places in enumerate(flipped):
        right[row, places] ^= True
    return right


def split(accuracies: Accuracies, images: int) -> dict[Cell, Predictions]:
    """Build the predictions of one model; pairs that are not named are at chance."""
    cells = {}
    for trained in SIZES:
        values: dict[tuple[PredictionMode, int], np.ndarray] = {}
        for number, px in enumerate(SIZES):
            values["raw", px] = correctness(0.1, images, number)
        for (own, mode, px), accuracy in accuracies.items():
            if own == trained:
                values[mode, px] = correctness(accuracy, images, trained)
        correct = {px: own for (mode, px), own in values.items() if mode == "raw"}
        adapted = {key: own for key, own in values.items() if key[0] != "raw"}
        cell, labels = Cell("custom", "net", trained), np.arange(images) % 10
        no_pairs = np.full((2, images), np.nan)
        cells[cell] = Predictions(cell, (0, 1), labels, correct, no_pairs, adapted)
    return cells


def ways(variants: tuple[str | None, ...] = (None,)) -> dict[Cell, list[WayToRun]]:
    """Return ways of running the model at every size: each next one is faster, and larger."""
    found = {}
    for px in SIZES:
        found[Cell("custom", "net", px)] = [
            WayToRun(name, latency(px / (1 + number)), {"peak_memory_mib": 1.0 + number})
            for number, name in enumerate(variants)
        ]
    return found


def latency(milliseconds: float) -> Latency:
    return Latency(milliseconds, milliseconds, True)


def candidates(changes: Accuracies, *variants: str | None) -> list[Candidate]:
    accuracies = {**AS_TRAINED, **changes}
    val, test = split(accuracies, 1000), split(accuracies, 2000)
    return list_candidates(val, test, ways(variants or (None,)), {})


def evaluated(found: list[Candidate]) -> list[tuple[int, str, int]]:
    return [(one.cell.resolution, one.mode, one.tested_at) for one in found]


def test_networks_away_from_their_size_join_only_when_better() -> None:
    assert evaluated(candidates({})) == list(AS_TRAINED)
    joined = candidates({(96, "raw", 128): 0.92, (48, "bn", 96): 0.86})
    assert evaluated(joined) == [*AS_TRAINED, (96, "raw", 128)]


def test_recalibrated_network_joins_when_its_statistics_were_spoilt() -> None:
    assert evaluated(candidates({(48, "bn", 48): 0.9}))[-1] == (48, "bn", 48)
    equal = candidates({(96, "bn", 96): 0.88})
    assert evaluated(equal) == list(AS_TRAINED)


def test_size_without_a_trained_network_is_served_by_another() -> None:
    val = split({**AS_TRAINED, (96, "bn", 128): 0.9}, 1000)
    del val[Cell("custom", "net", 128)]
    test = {cell: split(AS_TRAINED | {(96, "bn", 128): 0.9}, 2000)[cell] for cell in val}
    found = list_candidates(val, test, ways(), {})
    assert evaluated(found) == [(48, "raw", 48), (96, "raw", 96), (96, "bn", 128)]


def test_planted_winner_between_sizes_is_chosen_and_costs_its_test_size() -> None:
    found = candidates({(96, "raw", 128): 0.96})
    choice = choose(found, report_rules())["choice"]
    assert (choice["resolution"], choice["eval_resolution"], choice["mode"]) == (96, 128, "raw")
    assert choice["latency_ms_p50"] == 128


def test_fastest_way_that_keeps_the_budgets_is_chosen() -> None:
    found = candidates({}, None, "compiled")
    assert len(found) == 2 * len(AS_TRAINED)
    assert {one.variant for one in cheapest_ways(found)} == {"compiled"}
    small = report_rules(max_peak_memory_mib=1.5)
    variants = [choose(found, rules)["choice"]["variant"] for rules in (report_rules(), small)]
    assert variants == ["compiled", None]


def test_variants_do_not_share_the_error_of_accuracies() -> None:
    plain, doubled = candidates({}), candidates({}, None, "compiled")
    assert shared_error(plain, 0.95) == pytest.approx(0.05 / 3)
    # Six latencies are compared with a budget, and three networks.
    assert shared_error(doubled, 0.95) == pytest.approx(0.05 / 6)
    joined = candidates({(96, "raw", 128): 0.92})
    assert shared_error(joined, 0.95) == pytest.approx(0.05 / 4)


def test_evidence_of_a_cell_holds_where_it_was_explained() -> None:
    accuracies = {**AS_TRAINED, (96, "raw", 128): 0.96}
    evidence = {Cell("custom", "net", 96): CellEvidence(1, "fires", 0.7)}
    found = list_candidates(split(accuracies, 1000), split(accuracies, 2000), {}, evidence)
    known = {
        (one.cell.resolution, one.tested_at): (one.failed_seeds, one.alarm, one.localisation)
        for one in found
    }
    assert known[96, 96] == (1, "fires", 0.7)
    assert known[96, 128] == (1, "fires", None)
    assert known[48, 48] == (0, None, None)


@pytest.mark.parametrize("mode", ["raw", "bn"])
def test_candidate_of_two_sizes_predicts_in_its_mode(mode: PredictionMode) -> None:
    found = candidates({(96, mode, 128): 0.96})
    (joined,) = [one for one in found if not one.is_as_trained]
    assert joined.val_accuracy == pytest.approx(0.96, abs=0.02)
    assert joined.identity["mode"] == mode


INT8_MODES: Accuracies = {(48, "int8", 48): 0.79, (96, "int8", 96): 0.875}


def runtime_ways(px: int, fp32: float | None, int8: float | None) -> list[WayToRun]:
    found = [WayToRun(None, latency(px), {})]
    for is_int8, milliseconds in ((False, fp32), (True, int8)):
        if milliseconds is not None:
            name, cost = "onnxruntime", latency(milliseconds)
            found.append(WayToRun(name, cost, {}, is_int8=is_int8, runtime="onnxruntime"))
    return found


def exported_candidates(
    deployment: Deployment = PROFILES, **costs: tuple[float | None, float | None]
) -> dict[tuple[int, str, str | None], Candidate]:
    """List the candidates of networks with int8 at 48 and 96 px; costs in fp32 and int8 by size."""
    accuracies = {**AS_TRAINED, **INT8_MODES}
    of_sizes = {px: costs.get(f"at{px}", (None, None)) for px in SIZES}
    found = list_candidates(
        split(accuracies, 1000),
        split(accuracies, 2000),
        {Cell("custom", "net", px): runtime_ways(px, *pair) for px, pair in of_sizes.items()},
        {},
        deployment,
    )
    return {(one.tested_at, one.mode, one.variant): one for one in found}


def test_each_precision_has_ways_of_its_own() -> None:
    found = exported_candidates(at48=(30.0, 10.0), at96=(60.0, None))
    costs = {key: one.cost for key, one in found.items() if key[0] != 128}
    assert costs == {
        (48, "raw", None): 48,
        (48, "raw", "onnxruntime"): 30,
        (48, "int8", "onnxruntime"): 10,
        (96, "raw", None): 96,
        (96, "raw", "onnxruntime"): 60,
        (96, "int8", None): np.inf,
    }
    unmeasured = [one.unmeasured for one in found.values() if one.unmeasured]
    assert unmeasured == ["no cost in int8 was measured"]


def test_network_in_int8_without_a_cost_is_never_chosen() -> None:
    # It is the most accurate of all on validation images.
    accuracies = {**AS_TRAINED, (128, "int8", 128): 0.95}
    found = list_candidates(split(accuracies, 1000), split(accuracies, 2000), ways(), {})
    choice = choose(found, report_rules())
    assert {one["mode"] for one in (choice["best"], choice["choice"])} == {"raw"}
    assert [(one["mode"], one["reason"]) for one in choice["unmeasured"]] == [
        ("int8", "no cost in int8 was measured")
    ]


def test_network_whose_export_answers_wrongly_is_run_in_pytorch_alone() -> None:
    cell = Cell("custom", "net", 48)
    refused = {RefusedWay(cell, 48, "onnxruntime", is_int8) for is_int8 in (False, True)}
    found = exported_candidates(
        Deployment(refused=refused), at48=(30.0, 10.0), at96=(60.0, 20.0)
    )
    assert [key for key in found if key[0] == 48] == [(48, "raw", None), (48, "int8", None)]
    assert found[48, "int8", None].unmeasured == "its answers in that runtime are not proven"
    assert (96, "int8", "onnxruntime") in found


def test_network_that_a_device_did_not_measure_is_no_candidate_there() -> None:
    deployment = Deployment(device="pi5")
    measured = {Cell("custom", "net", 48): runtime_ways(48, 30.0, 10.0)[1:]}
    accuracies = {**AS_TRAINED, **INT8_MODES}
    splits = split(accuracies, 1000), split(accuracies, 2000)
    choice = choose(list_candidates(*splits, measured, {}, deployment), report_rules())
    assert choice["best"]["eval_resolution"] == choice["choice"]["eval_resolution"] == 48
    assert {(one["eval_resolution"], one["mode"]) for one in choice["unmeasured"]} == {
        (96, "raw"),
        (96, "int8"),
        (128, "raw"),
    }
    assert {one["reason"] for one in choice["unmeasured"]} == {"not measured on pi5"}


def test_modes_of_one_size_share_the_error_by_precision() -> None:
    found = list(exported_candidates(at48=(30.0, 10.0), at96=(60.0, 20.0)).values())
    # Five networks; latencies are five in PyTorch and the runtime, and two in int8.
    assert shared_error(found, 0.95) == pytest.approx(0.05 / 7)


def test_bad_int8_is_not_certified_where_a_budget_excludes_its_fp32() -> None:
    def bad_loss(points: float) -> PrecisionLoss:
        interval = Interval(points, points - 0.01, points + 0.01, "")
        return PrecisionLoss(0.9, interval, 2, 2000)

    for points, is_certified in ((0.05, False), (0.005, True)):
        losses = {(Cell("custom", "net", 48), 48): bad_loss(points)}
        found = exported_candidates(Deployment(losses=losses), at48=(None, 10.0))
        choice = choose(list(found.values()), report_rules(max_latency_ms=20.0))
        assert (choice["choice"]["mode"], choice["choice"]["variant"]) == (
            "int8",
            "onnxruntime",
        )
        assert (choice["certified"] is not None) is is_certified
