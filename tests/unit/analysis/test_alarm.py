"""The alarm "evidence off the object", on planted evidence and planted predictions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resomap.analysis.alarm import alarm_rows
from resomap.analysis.evidence_tables import intervention_rows, sanity_rows
from resomap.analysis.predictions import Cell, Predictions, RunFolders, cell_runs
from resomap.system.files import write_json, write_rows
from resomap.workflow.layout import table_columns

MANIFEST = {
    "classes": ["a-bars", "a-stripes", "b-bars", "b-stripes"],
    "groups": {"a-bars": "a", "a-stripes": "a", "b-bars": "b", "b-stripes": "b"},
    "pairs": [[0, 1], [2, 3]],
}
UNGROUPED = {"classes": MANIFEST["classes"], "groups": None, "pairs": None}
LOW, HIGH = Cell("custom", "tiny_cnn", 24), Cell("custom", "tiny_cnn", 96)
LABELS = np.arange(400) % 4
AREA, BEST = 0.13, 0.9


ALONE = {
    "classes": [*MANIFEST["classes"], "c-dots"],
    "groups": MANIFEST["groups"] | {"c-dots": "c"},
    "pairs": MANIFEST["pairs"],
}
"""With a group of one class, which has no partner."""


def predictions(cell: Cell, accuracy: float, seeds: int = 2) -> Predictions:
    """Build predictions of which every seed gets the same share of every class right."""
    right = np.tile(np.arange(400) < 400 * accuracy, (seeds, 1))
    correct = {cell.resolution: right}
    return Predictions(cell, tuple(range(seeds)), LABELS, correct, right.astype(float))


def write_maps(
    runs: Path,
    cell: Cell,
    shares: dict[str, float],
    *,
    seeds: int = 2,
    masked: bool = True,
    images: int = 48,
) -> None:
    """Write finished runs with maps whose share on the object spreads by .15 about the mean of their method."""
    rng = np.random.default_rng([cell.resolution, seeds])
    for run in cell_runs(cell, range(seeds), RunFolders(runs)):
        rows = [
            row
            for method, share in shares.items()
            for row in map_rows(method, share + 0.15 * rng.standard_normal(images), masked)
        ]
        columns = table_columns("run_localisation")
        write_rows(run.folder / "explanations" / "localisation.csv", rows, columns)
        write_json(run.folder / "metrics.json", {"status": "ok"})
        for name in ("evaluation.csv", "predictions.npz", "val_predictions.npz"):
            (run.folder / name).touch()


def map_rows(method: str, shares: np.ndarray, masked: bool) -> list[dict[str, Any]]:
    """Return rows of localisation.csv for correct predictions with the given shares on the object."""
    rows = []
    for index, share in enumerate(shares):
        row = {"method": method, "index": index, "label": index % 4, "right": 1}
        row["group"] = "ab"[index % 4 // 2]
        if masked:
            mass = AREA + share * (BEST - AREA)
            row |= {"relevance_mass": mass, "relevance_mass_best": BEST, "mask_area": AREA}
        rows.append(row)
    return rows


def alarms(
    runs: Path,
    test: dict[Cell, Predictions],
    manifest: dict[str, Any] = MANIFEST,
    sanity: Any = (),
    interventions: Any = (),
) -> dict[tuple[int, str], dict[str, Any]]:
    rows = alarm_rows(test, RunFolders(runs), manifest, sanity, interventions, 0.95)
    return {(row["resolution"], row["group"]): row for row in rows}


def states(*arguments: Any, **options: Any) -> set[str]:
    return {row["state"] for row in alarms(*arguments, **options).values()}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_alarm_fires_when_accurate_and_evidence_off_object(runs):
    write_maps(runs, LOW, {"gradcam": -0.05, "saliency": 0.05})
    write_maps(runs, HIGH, {"gradcam": 0.6, "saliency": 0.3})
    rows = alarms(runs, {LOW: predictions(LOW, 0.95), HIGH: predictions(HIGH, 1.0)})
    assert {key: row["state"] for key, row in rows.items()} == {
        (24, "a"): "fires",
        (24, "b"): "fires",
        (96, "a"): "silent",
        (96, "b"): "silent",
    }
    row = rows[24, "a"]
    assert set(row) <= set(table_columns("alarms"))
    assert row["share"] == pytest.approx(0, abs=0.05)
    assert (row["accuracy"], row["accuracy_best"], row["n"]) == (0.95, 1.0, 24)


def test_alarm_is_silent_when_accuracy_drops(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    write_maps(runs, HIGH, {"gradcam": 0.6})
    rows = alarms(runs, {LOW: predictions(LOW, 0.5), HIGH: predictions(HIGH, 1.0)})
    assert {row["state"] for row in rows.values()} == {"silent"}
    assert rows[24, "a"]["judged"] is None


def test_alarm_is_silent_at_chance_accuracy(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    assert states(runs, {LOW: predictions(LOW, 0.5)}) == {"silent"}


def test_one_method_on_object_keeps_alarm_silent(runs):
    write_maps(runs, LOW, {"gradcam": -0.3, "saliency": 0.0, "integrated_gradients": 0.4})
    assert states(runs, {LOW: predictions(LOW, 0.95)}) == {"silent"}


def test_failed_methods_are_left_out_of_alarm(runs):
    write_maps(runs, LOW, {"gradcam": 0.0, "saliency": 0.6})
    test = {LOW: predictions(LOW, 0.95)}
    failed = {"model": "tiny_cnn", "resolution": 24, "method": "saliency", "passed": False}
    assert states(runs, test, sanity=[failed]) == {"fires"}
    assert states(runs, test, sanity=[failed, failed | {"method": "gradcam"}]) == {"unknown"}


def test_baselines_are_left_out_of_alarm(runs):
    write_maps(runs, LOW, {"gradcam": 0.0, "edge": 0.9, "centre": 0.9, "random": 0.9})
    assert states(runs, {LOW: predictions(LOW, 0.95)}) == {"fires"}


@pytest.mark.parametrize("change", [{"masked": False}, {"images": 8}])
def test_alarm_is_unknown_without_masks_or_images(runs, change):
    write_maps(runs, LOW, {"gradcam": 0.0}, **change)
    assert states(runs, {LOW: predictions(LOW, 0.95)}) == {"unknown"}


def test_alarm_names_images_of_its_group(runs):
    write_maps(runs, LOW, {"gradcam": 0.0}, seeds=1)
    row = alarms(runs, {LOW: predictions(LOW, 0.95, 1)})[24, "b"]
    named = [int(index) for index in row["images"].split()]
    assert len(named) == 6
    assert all(index % 4 >= 2 for index in named)


def test_images_without_groups_form_one_row(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    rows = alarms(runs, {LOW: predictions(LOW, 0.95)}, UNGROUPED)
    assert [(key, row["state"], row["n"]) for key, row in rows.items()] == [
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
def test_exchange_judges_alarm(runs, share, low, high, judged):
    write_maps(runs, LOW, {"gradcam": share})
    ends = {"follows_rest_low": low, "follows_rest_high": high}
    cell = {"model": "tiny_cnn", "resolution": 24, "kind": "exchange"}
    exchanged = [{**cell, "group": group, **ends} for group in "ab"]
    rows = alarms(runs, {LOW: predictions(LOW, 0.95)}, interventions=exchanged)
    assert {row["judged"] for row in rows.values()} == {judged}


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_clean_sweeps_raise_no_alarm(runs, seeds):
    for draw in range(20):
        cell = Cell("custom", "tiny_cnn", 24 + draw)
        write_maps(runs, cell, {"gradcam": 0.3, "saliency": 0.3}, seeds=seeds)
        assert "fires" not in states(runs, {cell: predictions(cell, 0.95, seeds)})


def test_interventions_count_changed_and_following_predictions(runs):
    write_maps(runs, LOW, {"gradcam": 0.0})
    columns = table_columns("run_interventions")
    rows = []
    for index in range(48):
        label, follows = index % 4, "rest" if index < 12 else "object"
        row = {"kind": "exchange", "index": index, "label": label, "before": label}
        row |= {"other": index ^ 1, "other_label": label ^ 1, "group": "ab"[label // 2]}
        rows.append(row | {"after": label ^ (index < 12), "follows": follows})
    for run in cell_runs(LOW, range(2), RunFolders(runs)):
        write_rows(run.folder / "explanations" / "interventions.csv", rows, columns)
    by_group = {
        row["group"]: row for row in intervention_rows([LOW], range(2), RunFolders(runs), 0.95)
    }
    names = ("n_seeds", "n", "changed", "follows_rest")
    assert {group: [row[name] for name in names] for group, row in by_group.items()} == {
        "all": [2, 48, 0.25, 0.25],
        "a": [2, 24, 0.25, 0.25],
        "b": [2, 24, 0.25, 0.25],
    }
    for row in by_group.values():
        assert row["follows_rest_low"] < 0.25 < row["follows_rest_high"]


def test_unchanged_maps_fail_sanity_check_in_table(runs):
    write_maps(runs, LOW, {"gradcam": 0.0}, seeds=1)
    rows = []
    for method, retained in (("gradcam", 0.03), ("edge", 0.99)):
        for draw in range(5):
            row = {"method": method, "draw": draw, "floor": 0.02, "n": 16}
            rows.append(row | {"correlation": retained + 0.01 * (draw - 2)})
    path = cell_runs(LOW, [0], RunFolders(runs))[0].folder / "explanations" / "sanity.csv"
    write_rows(path, rows, table_columns("run_sanity"))
    checks = {
        row["method"]: (row["draws"], row["passed"], round(row["retained"], 2))
        for row in sanity_rows([LOW], [0], RunFolders(runs))
    }
    assert checks == {"gradcam": (5, True, 0.01), "edge": (5, False, 0.99)}


@pytest.mark.parametrize("untested", [True, False])
def test_group_without_an_accuracy_changes_no_other_alarm(
    tmp_path: Path, *, untested: bool
) -> None:
    labels = LABELS.copy()
    partnered = np.ones(400, bool)
    if not untested:
        labels[:40], partnered[:40] = 4, False
    test = {}
    for cell in (LOW, HIGH):
        write_maps(tmp_path, cell, {"gradcam": 0.0})
        own = predictions(cell, 0.95)
        pairs = np.where(partnered, own.pair_correct, np.nan)
        test[cell] = replace(own, labels=labels, pair_correct=pairs)
    rows = alarms(tmp_path, test, ALONE)
    assert {rows[24, group]["state"] for group in "ab"} == {"fires"}
