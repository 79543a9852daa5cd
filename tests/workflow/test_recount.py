"""Every accuracy of the tables, counted again from predictions.npz without the code that made it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

SEEDS = (0,)
RESOLUTIONS = (16, 24)


@pytest.fixture(scope="module")
def results(finished) -> Path:
    return finished.path / "results"


def rows(results: Path, name: str) -> list[dict[str, str]]:
    with (results / f"tables/{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def predictions(results: Path, resolution: int, name: str = "predictions") -> dict:
    path = results / f"runs/custom/tiny_cnn/r{resolution}/seed0/{name}.npz"
    with np.load(path) as stored:
        return dict(stored)


def correct(stored: dict, at: int, mode: str = "raw") -> np.ndarray:
    name = f"logits_r{at}" if mode == "raw" else f"logits_{mode}_r{at}"
    return stored[name].argmax(1) == stored["label"]


def pair_correct(stored: dict, at: int, pairs: list[list[int]]) -> np.ndarray:
    """Return whether the logit of the label beats that of its partner."""
    partner = {first: second for pair in pairs for first, second in (pair, pair[::-1])}
    logits, labels = stored[f"logits_r{at}"], stored["label"]
    return np.array(
        [
            row[label] > row[partner[label]]
            for row, label in zip(logits, labels.tolist(), strict=True)
        ]
    )


def test_runs_equal_the_predictions(results):
    table = rows(results, "runs")
    assert len(table) == len(RESOLUTIONS) * len(SEEDS)
    for row in table:
        stored = predictions(results, int(row["resolution"]))
        assert int(row["n_test"]) == len(stored["label"])
        expected = correct(stored, int(row["resolution"])).mean()
        assert float(row["accuracy"]) == pytest.approx(expected, abs=1e-12)


def test_evaluation_and_matrix_equal_the_predictions(results):
    for table in (rows(results, "evaluation"), rows(results, "matrix")):
        modes = [row["mode"] for row in table]
        assert {mode: modes.count(mode) for mode in modes} == {"raw": 4, "bn": 4}
        for row in table:
            trained, at = int(row["train_resolution"]), int(row["eval_resolution"])
            expected = correct(predictions(results, trained), at, row["mode"]).mean()
            assert float(row["accuracy"]) == pytest.approx(expected, abs=1e-12)


def test_cells_equal_the_predictions_of_both_splits(results):
    for row in rows(results, "cells"):
        resolution = int(row["resolution"])
        for column, name in (
            ("accuracy", "predictions"),
            ("val_accuracy", "val_predictions"),
        ):
            expected = correct(predictions(results, resolution, name), resolution).mean()
            assert float(row[column]) == pytest.approx(expected, abs=1e-12)


def test_classes_and_groups_equal_the_predictions(results):
    manifest = json.loads((results / "data/manifest.json").read_text(encoding="utf-8"))
    names, pairs, groups = manifest["classes"], manifest["pairs"], manifest["groups"]
    for row in rows(results, "classes"):
        resolution = int(row["resolution"])
        stored = predictions(results, resolution)
        of_class = stored["label"] == names.index(row["class"])
        assert int(row["n"]) == of_class.sum()
        expected = correct(stored, resolution)[of_class].mean()
        assert float(row["accuracy"]) == pytest.approx(expected, abs=1e-12)
        expected = pair_correct(stored, resolution, pairs)[of_class].mean()
        assert float(row["pair_accuracy"]) == pytest.approx(expected, abs=1e-12)
    for row in rows(results, "groups"):
        resolution = int(row["resolution"])
        stored = predictions(results, resolution)
        members = [index for index, name in enumerate(names) if groups[name] == row["group"]]
        of_group = np.isin(stored["label"], members)
        expected = pair_correct(stored, resolution, pairs)[of_group].mean()
        assert float(row["pair_accuracy"]) == pytest.approx(expected, abs=1e-12)


def test_choice_has_the_best_validation_accuracy_within_the_margin(results):
    cells = rows(results, "cells")
    choice = json.loads((results / "tables/choice.json").read_text(encoding="utf-8"))
    best = max(float(row["val_accuracy"]) for row in cells)
    chosen = [row for row in cells if f"at {row['resolution']} px" in choice["headline"]]
    assert len(chosen) >= 1
    assert best >= float(chosen[0]["val_accuracy"])
