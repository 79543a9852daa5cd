"""Right answer, wrong reason: planted evidence, planted answers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resomap.analysis.alarm import ALARMS, alarm_rows
from resomap.analysis.answers import Answers, Cell, cell_runs
from resomap.analysis.evidence import intervention_rows, sanity_rows
from resomap.explain import intervention, sanity
from resomap.explain.run import LOCALISATION_COLUMNS
from resomap.system.files import write_json, write_rows

MANIFEST = {
    "classes": ["a-bars", "a-stripes", "b-bars", "b-stripes"],
    "groups": {"a-bars": "a", "a-stripes": "a", "b-bars": "b", "b-stripes": "b"},
    "pairs": [[0, 1], [2, 3]],
}
UNGROUPED = {"classes": MANIFEST["classes"], "groups": None, "pairs": None}
LOW, HIGH = Cell("custom", "tiny_cnn", 24), Cell("custom", "tiny_cnn", 96)
LABELS = np.arange(400) % 4
AREA, BEST = 0.13, 0.9


def answers(cell: Cell, accuracy: float, seeds: int) -> Answers:
    """Of every class, the same share of the pictures is answered right by every seed."""
    right = np.tile(np.arange(400) < 400 * accuracy, (seeds, 1))
    return Answers(
        cell, tuple(range(seeds)), LABELS, {cell.resolution: right}, right.astype(float)
    )


def write_maps(
    runs: Path,
    cell: Cell,
    shares: dict[str, float],
    *,
    seeds: int = 2,
    masked: bool = True,
    pictures: int = 48,
) -> None:
    """Maps whose share on the object spreads by .15 about its method's mean, and files that make the runs finished ones."""
    rng = np.random.default_rng([cell.resolution, seeds])
    for run in cell_runs(cell, range(seeds), runs):
        rows = [
            row
            for method, share in shares.items()
            for row in _rows(method, share, pictures, masked, rng)
        ]
        write_rows(run.folder / "explanations" / "localisation.csv", rows, LOCALISATION_COLUMNS)
        write_json(run.folder / "metrics.json", {"status": "ok"})
        for name in ("evaluation.csv", "predictions.npz", "val_predictions.npz"):
            (run.folder / name).touch()


def _rows(
    method: str, share: float, pictures: int, masked: bool, rng: np.random.Generator
) -> list[dict[str, Any]]:
    drawn = share + 0.15 * rng.standard_normal(pictures)
    told = {"relevance_mass_best": BEST, "mask_area": AREA} if masked else {}
    return [
        {
            "method": method,
            "index": index,
            "label": index % 4,
            "group": "ab"[index % 4 // 2],
            "right": 1,
            **told,
        }
        | ({"relevance_mass": AREA + drawn[index] * (BEST - AREA)} if masked else {})
        for index in range(pictures)
    ]


def ask(
    runs: Path, test: dict[Cell, Answers], manifest: dict[str, Any] = MANIFEST, **tables: Any
) -> dict[tuple[int, str], dict[str, Any]]:
    rows = alarm_rows(test, runs, manifest, {"sanity": [], "interventions": [], **tables}, 0.95)
    return {(row["resolution"], row["group"]): row for row in rows}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_it_fires_where_accuracy_holds_and_the_evidence_has_left(runs):
    write_maps(runs, LOW, {"gradcam": -0.05, "saliency": 0.05})
    write_maps(runs, HIGH, {"gradcam": 0.6, "saliency": 0.3})
    told = ask(runs, {LOW: answers(LOW, 0.95, 2), HIGH: answers(HIGH, 1.0, 2)})
    assert {place: row["state"] for place, row in told.items()} == {
        (24, "a"): "fires",
        (24, "b"): "fires",
        (96, "a"): "silent",
        (96, "b"): "silent",
    }
    assert all(set(row) <= set(ALARMS) for row in told.values())
    assert told[24, "a"]["share"] == pytest.approx(0, abs=0.05)
    assert (told[24, "a"]["accuracy"], told[24, "a"]["accuracy_best"], told[24, "a"]["n"]) == (
        0.95,
        1.0,
        24,
    )


def test_it_is_silent_where_accuracy_does_not_hold(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    write_maps(runs, HIGH, {"gradcam": 0.6})
    told = ask(runs, {LOW: answers(LOW, 0.5, 2), HIGH: answers(HIGH, 1.0, 2)})
    assert {row["state"] for row in told.values()} == {"silent"}
    assert told[24, "a"]["judged"] is None


def test_a_network_that_is_nowhere_better_than_a_coin_raises_no_alarm(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    assert {row["state"] for row in ask(runs, {LOW: answers(LOW, 0.5, 2)}).values()} == {
        "silent"
    }


def test_one_method_that_sees_the_object_keeps_it_silent(runs):
    write_maps(runs, LOW, {"gradcam": -0.3, "saliency": 0.0, "integrated_gradients": 0.4})
    assert {row["state"] for row in ask(runs, {LOW: answers(LOW, 0.95, 2)}).values()} == {
        "silent"
    }


def test_a_method_that_failed_the_gate_is_not_asked(runs):
    write_maps(runs, LOW, {"gradcam": 0.0, "saliency": 0.6})
    struck = [
        {"model": "tiny_cnn", "resolution": 24, "method": "saliency", "passed": False}
    ] * 2
    assert {
        row["state"] for row in ask(runs, {LOW: answers(LOW, 0.95, 2)}, sanity=struck).values()
    } == {"fires"}
    both = [
        *struck,
        {"model": "tiny_cnn", "resolution": 24, "method": "gradcam", "passed": False},
    ]
    assert {
        row["state"] for row in ask(runs, {LOW: answers(LOW, 0.95, 2)}, sanity=both).values()
    } == {"unknown"}


def test_baselines_are_not_asked(runs):
    write_maps(runs, LOW, {"gradcam": 0.0, "edge": 0.9, "centre": 0.9, "random": 0.9})
    assert {row["state"] for row in ask(runs, {LOW: answers(LOW, 0.95, 2)}).values()} == {
        "fires"
    }


@pytest.mark.parametrize("change", [{"masked": False}, {"pictures": 8}])
def test_without_masks_or_with_few_pictures_it_does_not_know(runs, change):
    write_maps(runs, LOW, {"gradcam": 0.0}, **change)
    assert {row["state"] for row in ask(runs, {LOW: answers(LOW, 0.95, 2)}).values()} == {
        "unknown"
    }


def test_pictures_that_raised_it_are_named_the_least_evidence_first(runs):
    write_maps(runs, LOW, {"gradcam": 0.0}, seeds=1)
    named = [
        int(index)
        for index in ask(runs, {LOW: answers(LOW, 0.95, 1)})[24, "b"]["pictures"].split()
    ]
    assert len(named) == 6
    assert all(index % 4 >= 2 for index in named)


def test_pictures_without_groups_are_asked_about_together(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    told = ask(runs, {LOW: answers(LOW, 0.95, 2)}, UNGROUPED)
    assert [(place, row["state"], row["n"]) for place, row in told.items()] == [
        ((24, "all"), "fires", 48)
    ]


@pytest.mark.parametrize(
    ("share", "low", "high", "judged"),
    [
        (0.0, 0.8, 1.0, "agrees"),
        (0.0, 0.0, 0.2, "disagrees"),
        (0.5, 0.8, 1.0, "disagrees"),
        (0.5, 0.0, 0.2, "agrees"),
        (0.5, 0.4, 0.6, None),
    ],
)
def test_an_exchange_judges_the_alarm(runs, share, low, high, judged):
    write_maps(runs, LOW, {"gradcam": share})
    exchanged = [
        {
            "model": "tiny_cnn",
            "resolution": 24,
            "group": group,
            "kind": "exchange",
            "follows_rest_low": low,
            "follows_rest_high": high,
        }
        for group in "ab"
    ]
    assert {
        row["judged"]
        for row in ask(runs, {LOW: answers(LOW, 0.95, 2)}, interventions=exchanged).values()
    } == {judged}


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_twenty_clean_sweeps_raise_no_alarm(runs, seeds):
    fired = 0
    for draw in range(20):
        cell = Cell("custom", "tiny_cnn", 24 + draw)
        write_maps(runs, cell, {"gradcam": 0.3, "saliency": 0.3}, seeds=seeds)
        fired += sum(
            row["state"] == "fires"
            for row in ask(runs, {cell: answers(cell, 0.95, seeds)}).values()
        )
    assert fired == 0


def test_interventions_count_changed_answers_and_what_they_follow(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    for run in cell_runs(LOW, range(2), runs):
        rows = [
            {
                **dict(
                    zip(
                        intervention.INTERVENTION_COLUMNS,
                        (
                            "exchange",
                            index,
                            index ^ 1,
                            index % 4,
                            index % 4 ^ 1,
                            "ab"[index % 4 // 2],
                        ),
                        strict=False,
                    )
                ),
                "before": index % 4,
                "after": index % 4 ^ (index < 12),
                "follows": "rest" if index < 12 else "object",
            }
            for index in range(48)
        ]
        write_rows(
            run.folder / "explanations" / "interventions.csv",
            rows,
            intervention.INTERVENTION_COLUMNS,
        )
    told = {row["group"]: row for row in intervention_rows([LOW], range(2), runs, 0.95)}
    assert {
        group: (row["n_seeds"], row["n"], row["changed"], row["follows_rest"])
        for group, row in told.items()
    } == {
        "all": (2, 48, 0.25, 0.25),
        "a": (2, 24, 0.25, 0.25),
        "b": (2, 24, 0.25, 0.25),
    }
    assert all(
        row["follows_rest_low"] < 0.25 < row["follows_rest_high"] for row in told.values()
    )


def test_a_method_that_keeps_its_maps_is_struck_out_in_the_table(runs):
    write_maps(runs, LOW, {"gradcam": 0.0}, seeds=1)
    rows = [
        {
            "method": method,
            "draw": draw,
            "correlation": kept + 0.01 * (draw - 2),
            "floor": 0.02,
            "n": 16,
        }
        for method, kept in (("gradcam", 0.03), ("edge", 0.99))
        for draw in range(5)
    ]
    write_rows(
        cell_runs(LOW, [0], runs)[0].folder / "explanations" / "sanity.csv",
        rows,
        sanity.SANITY_COLUMNS,
    )
    told = {
        row["method"]: (row["draws"], row["passed"], round(row["retained"], 2))
        for row in sanity_rows([LOW], [0], runs)
    }
    assert told == {"gradcam": (5, True, 0.01), "edge": (5, False, 0.99)}
