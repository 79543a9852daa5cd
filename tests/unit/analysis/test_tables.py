"""The tables of results/tables, from the result files of a small sweep with failures."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap import metrics
from resomap.system import files
from resomap.workflow.layout import TABLES, table_columns
from tests.synthetic import Sweep, aggregate, write_results, write_tables_of

SWEEP = Sweep(
    resolutions=(24, 48),
    test=80,
    val=40,
    statuses={("tiny_cnn", 24, 0): "diverged", ("tiny_cnn", 24, 1): "infeasible"},
    waiting=(("simple_cnn", 48, 1),),
)
SMALL = {"models": ("tiny_cnn",), "resolutions": (24,), "test": 40, "val": 24}
Row = dict[str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results")
    aggregate(path, SWEEP)
    return path


def read(folder: Path, name: str, **key: Any) -> list[Row]:
    """Return the rows of a table in which the columns of `key` have its values."""
    with (folder / "tables" / f"{name}.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [row for row in rows if all(row[column] == str(key[column]) for column in key)]


def run_row(folder: Path, model: str, resolution: int, seed: int) -> Row:
    (row,) = read(folder, "runs", model=model, resolution=resolution, seed=seed)
    return row


@pytest.mark.parametrize("name", TABLES)
def test_table_has_columns_of_layout(folder: Path, name: str) -> None:
    header = (folder / "tables" / f"{name}.csv").read_text().splitlines()[0]
    assert tuple(header.split(",")) == table_columns(name)


def test_every_run_has_a_row_with_its_status(folder: Path) -> None:
    statuses = [row["status"] for row in read(folder, "runs")]
    assert sorted(statuses) == ["diverged", "infeasible", *["ok"] * 5, "waiting"]


def test_waiting_run_has_blank_numbers(folder: Path) -> None:
    row = run_row(folder, "simple_cnn", 48, 1)
    assert row["status"] == "waiting"
    assert {row[name] for name in ("accuracy", "train_seconds", "code")} == {""}


def test_diverged_run_has_device_but_no_scores(folder: Path) -> None:
    row = run_row(folder, "tiny_cnn", 24, 0)
    assert (row["accuracy"], row["n_test"]) == ("", "")
    assert (row["device"], row["reason"]) == ("cpu", "it diverged")


def test_scores_are_those_at_training_resolution(folder: Path) -> None:
    stored = files.read_arrays(folder / "runs/custom/tiny_cnn/r48/seed1/predictions.npz")
    expected = metrics.compute_scores(stored["logits_r48"], stored["label"])
    row = run_row(folder, "tiny_cnn", 48, 1)
    assert float(row["accuracy"]) == expected["accuracy"]
    assert float(row["log_loss"]) == pytest.approx(expected["log_loss"])
    assert row["epochs"] == "8"


def test_finished_runs_are_evaluated_at_every_resolution(folder: Path) -> None:
    assert len(read(folder, "evaluation")) == 5 * 2


def test_pair_accuracy_ignores_other_classes(folder: Path) -> None:
    row = read(folder, "classes", **{"class": "ray-bars"})[0]
    assert float(row["pair_accuracy"]) >= float(row["accuracy"])
    assert row["group"] == "fine"


def test_p99_is_blank_below_1000_repetitions(folder: Path) -> None:
    assert {row["latency_ms_p99"] for row in read(folder, "profiles")} == {""}


def test_profiles_have_a_row_per_measurement(folder: Path) -> None:
    rows = read(folder, "profiles", model="tiny_cnn")
    measured = [(row["resolution"], row["variant"], row["batch_size"]) for row in rows]
    assert measured == [
        ("24", "eager", "1"),
        ("24", "eager", "32"),
        ("24", "training_step", "32"),
        ("48", "eager", "1"),
        ("48", "eager", "32"),
        ("48", "training_step", "32"),
    ]


def test_latency_of_cell_is_that_of_first_variant(folder: Path) -> None:
    measured = read(folder, "profiles", model="tiny_cnn", batch_size=1)[0]
    assert read(folder, "cells")[0]["latency_ms_p50"] == measured["latency_ms_p50"]


def test_stages_add_up_to_total(folder: Path) -> None:
    rows = read(folder, "stages")
    assert len(rows) == 4
    for row in rows:
        stages = (float(row[f"{name}_ms"]) for name in ("decode", "resize", "copy", "forward"))
        assert float(row["total_ms"]) == pytest.approx(sum(stages))


def test_profile_without_rounds_leaves_blanks(tmp_path: Path) -> None:
    sweep = Sweep(**SMALL | {"resolutions": (24, 48), "seeds": (0,), "variants": ("eager",)})
    manifest = write_results(tmp_path, sweep)
    path = tmp_path / "profiles/custom/tiny_cnn.json"
    columns = table_columns("profiles")
    known = {*columns[: columns.index("rounds")], "latency_ms_rounds"}
    cells = [
        {name: value for name, value in cell.items() if name in known}
        for cell in files.read_json(path)["cells"]
    ]
    files.write_json(path, {"job": {}, "environment": {}, "reference": {}, "cells": cells})
    write_tables_of(tmp_path, sweep, manifest)
    assert {row["latency_ms_low"] for row in read(tmp_path, "profiles")} == {""}
    for name in ("stages", "neighbours", "cost", "energy"):
        assert read(tmp_path, name) == []
    assert float(read(tmp_path, "cells")[0]["latency_ms_p50"]) > 0


def test_explanations_are_averaged_overall_and_by_group(folder: Path) -> None:
    key = {"model": "tiny_cnn", "resolution": 48, "seed": 0, "method": "gradcam"}
    rows = {row["group"]: row for row in read(folder, "explanations", **key)}
    assert list(rows) == ["all", "outline", "broad", "medium", "fine"]
    path = folder / "runs/custom/tiny_cnn/r48/seed0/explanations/localisation.csv"
    images = pd.read_csv(path)
    fine = images[(images["method"] == "gradcam") & (images["group"] == "fine")]
    assert float(rows["fine"]["relevance_mass"]) == pytest.approx(fine["relevance_mass"].mean())


def test_cells_count_finished_seeds(folder: Path) -> None:
    counts = [(row["n_runs"], row["n_seeds"]) for row in read(folder, "cells")]
    assert counts == [("2", "0"), ("2", "2"), ("2", "2"), ("2", "1")]


def test_cell_without_finished_run_keeps_latency(folder: Path) -> None:
    row = read(folder, "cells")[0]
    assert row["accuracy"] == ""
    assert float(row["latency_ms_p50"]) > 0


def test_cells_name_method_of_interval(folder: Path) -> None:
    methods = [row["interval"] for row in read(folder, "cells", model="simple_cnn")]
    assert methods == [
        "Wilson over seeds and images",
        "Wilson over seeds of other cells and images",
    ]


def test_margin_of_group_is_margin_over_its_share(folder: Path) -> None:
    margins = {row["group"]: float(row["margin"]) for row in read(folder, "knees")}
    groups = dict.fromkeys(("outline", "broad", "medium", "fine"), 0.08)
    assert margins == pytest.approx({"all": 0.02, **groups})


def test_dataset_without_groups_has_empty_group_tables(tmp_path: Path) -> None:
    aggregate(tmp_path, Sweep(**SMALL, seeds=(0,), grouped=False))
    assert read(tmp_path, "groups") == []
    assert {row["group"] for row in read(tmp_path, "classes")} == {""}
    assert {row["group"] for row in read(tmp_path, "explanations")} == {"all"}


def test_unfinished_sweep_has_tables_and_no_choice(tmp_path: Path) -> None:
    waiting = (("tiny_cnn", 24, 0),)
    aggregate(tmp_path, Sweep(**SMALL, seeds=(0,), profiled=False, waiting=waiting))
    assert [row["status"] for row in read(tmp_path, "runs")] == ["waiting"]
    assert files.read_json(tmp_path / "tables/choice.json")["status"] == "none"


def test_differing_environments_are_kept(tmp_path: Path) -> None:
    sweep = Sweep(**SMALL)
    manifest = aggregate(tmp_path, sweep)
    path = tmp_path / "runs/custom/tiny_cnn/r24/seed1/metrics.json"
    result = files.read_json(path)
    environment = result["environment"] | {"torch": "2.15.0"}
    files.write_json(path, result | {"environment": environment})
    write_tables_of(tmp_path, sweep, manifest)
    versions = files.read_json(tmp_path / "tables/environment.json")["torch"]
    assert versions == ["2.11.0", "2.15.0"]


def test_same_results_give_same_tables(folder: Path, tmp_path: Path) -> None:
    aggregate(tmp_path, SWEEP)
    for path in sorted((folder / "tables").iterdir()):
        assert (tmp_path / "tables" / path.name).read_bytes() == path.read_bytes()


def test_matrix_diagonal_equals_cell_accuracy(folder: Path) -> None:
    diagonal = {
        (row["model"], row["train_resolution"]): float(row["accuracy"])
        for row in read(folder, "matrix")
        if row["train_resolution"] == row["eval_resolution"]
    }
    cells = {
        (row["model"], row["resolution"]): float(row["accuracy"])
        for row in read(folder, "cells")
        if row["accuracy"]
    }
    assert diagonal == pytest.approx(cells)
    assert np.isfinite(list(diagonal.values())).all()


def test_accuracy_of_a_cell_has_one_interval(with_modes: Path) -> None:
    names = ("accuracy", "accuracy_low", "accuracy_high")
    cells = {(row["model"], row["resolution"]): row for row in read(with_modes, "cells")}
    rows = [
        row
        for row in read(with_modes, "matrix", mode="raw")
        if row["train_resolution"] == row["eval_resolution"]
    ]
    assert rows
    for row in rows:
        cell = cells[row["model"], row["train_resolution"]]
        assert [row[name] for name in names] == [cell[name] for name in names]


@pytest.fixture(scope="module")
def with_modes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("modes")
    sweep = replace(SWEEP, modes=("raw", "bn"), without_norm=("simple_cnn",))
    aggregate(path, sweep)
    return path


def test_modes_have_rows_of_their_own(with_modes: Path) -> None:
    cross = {"train_resolution": 48, "eval_resolution": 24, "model": "tiny_cnn"}
    raw, recalibrated = read(with_modes, "matrix", **cross)
    assert (raw["mode"], recalibrated["mode"]) == ("raw", "bn")
    assert float(recalibrated["accuracy"]) > float(raw["accuracy"])
    scored = read(with_modes, "evaluation", **cross, mode="bn")
    accuracies = [float(row["accuracy"]) for row in scored]
    assert float(recalibrated["accuracy"]) == pytest.approx(np.mean(accuracies))


def test_mode_that_a_network_lacks_is_blank(with_modes: Path) -> None:
    rows = read(with_modes, "evaluation", model="simple_cnn", mode="bn")
    assert {(row["n"], row["accuracy"], row["log_loss"]) for row in rows} == {("0", "", "")}
    assert read(with_modes, "matrix", model="simple_cnn", mode="bn") == []


def test_other_modes_leave_raw_numbers_alone(folder: Path, with_modes: Path) -> None:
    for name in ("matrix", "evaluation"):
        rows = read(with_modes, name, model="simple_cnn", mode="raw")
        assert rows == read(folder, name, model="simple_cnn")
    assert read(with_modes, "cells", model="simple_cnn") == read(
        folder, "cells", model="simple_cnn"
    )
