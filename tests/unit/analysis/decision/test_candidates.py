"""Candidates: which networks away from their training are weighed, and how they are run."""

from collections.abc import Mapping

import numpy as np
import pytest

from resomap.analysis.decision.budgets import shared_error
from resomap.analysis.decision.candidates import (
    Candidate,
    CellEvidence,
    WayToRun,
    cheapest_ways,
    list_candidates,
)
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell, Predictions
from resomap.config.evaluation import EvaluationMode
from tests.synthetic import report_rules

SIZES = (48, 96, 128)
Accuracies = Mapping[tuple[int, EvaluationMode, int], float]
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
        values: dict[tuple[EvaluationMode, int], np.ndarray] = {}
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
def test_candidate_of_two_sizes_predicts_in_its_mode(mode: EvaluationMode) -> None:
    found = candidates({(96, mode, 128): 0.96})
    (joined,) = [one for one in found if not one.is_as_trained]
    assert joined.val_accuracy == pytest.approx(0.96, abs=0.02)
    assert joined.identity["mode"] == mode
