import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resomap import metrics
from resomap.analysis import alarm, cost, energy, evidence, tables
from resomap.analysis.aggregate import write_tables
from resomap.analysis.answers import Cell, cell_runs, run_status
from resomap.config.schema import Report
from resomap.system import files
from resomap.system.locks import hold_lock
from tests.synthetic import Sweep, write_results

SWEEP = Sweep(
    resolutions=(24, 48),
    test=80,
    val=40,
    statuses={("tiny_cnn", 24, 0): "diverged", ("tiny_cnn", 24, 1): "infeasible"},
    waiting=(("simple_cnn", 48, 1),),
)


def aggregate(folder: Path, sweep: Sweep) -> dict[str, Any]:
    manifest = write_results(folder, sweep)
    write_all(folder, sweep, manifest)
    return manifest


def write_all(folder: Path, sweep: Sweep, manifest: dict[str, Any]) -> None:
    write_tables(
        manifest,
        folder / "runs",
        folder / "profiles",
        folder / "agreement",
        folder / "tables",
        models=sweep.architectures,
        resolutions=sweep.resolutions,
        seeds=sweep.seeds,
        report=Report(margin=0.02, confidence=0.95, max_latency_ms=None, min_accuracy=None),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results")
    aggregate(path, SWEEP)
    return path


def read(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{name}.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run_row(folder: Path, model: str, resolution: int, seed: int) -> dict[str, str]:
    key = (model, str(resolution), str(seed))
    return next(
        row
        for row in read(folder, "runs")
        if (row["model"], row["resolution"], row["seed"]) == key
    )


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("runs", tables.RUNS),
        ("evaluation", tables.EVALUATION),
        ("classes", tables.CLASSES),
        ("profiles", tables.PROFILES),
        ("stages", tables.STAGES),
        ("neighbours", cost.NEIGHBOURS),
        ("cost", cost.COST),
        ("energy", energy.ENERGY),
        ("explanations", evidence.EXPLANATIONS),
        ("agreement", evidence.AGREEMENT),
        ("faithfulness", evidence.FAITHFULNESS),
        ("sanity", evidence.SANITY),
        ("interventions", evidence.INTERVENTIONS),
        ("alarms", alarm.ALARMS),
    ],
)
def test_each_table_has_its_columns_in_order(
    folder: Path, name: str, columns: tuple[str, ...]
) -> None:
    assert (
        tuple((folder / "tables" / f"{name}.csv").read_text().splitlines()[0].split(","))
        == columns
    )


def test_every_run_of_the_sweep_has_a_row_whatever_became_of_it(folder: Path) -> None:
    statuses = [row["status"] for row in read(folder, "runs")]
    assert sorted(statuses) == [
        "diverged",
        "infeasible",
        "ok",
        "ok",
        "ok",
        "ok",
        "ok",
        "waiting",
    ]


def test_a_run_without_files_is_waiting_and_its_numbers_are_blank(folder: Path) -> None:
    row = run_row(folder, "simple_cnn", 48, 1)
    assert (row["status"], row["accuracy"], row["train_seconds"], row["code"]) == (
        "waiting",
        "",
        "",
        "",
    )


def test_a_training_that_began_is_under_way_while_its_lock_is_held_and_has_failed_when_it_is_not(
    tmp_path: Path,
) -> None:
    run = cell_runs(Cell("custom", "tiny_cnn", 24), (0,), tmp_path / "runs")[0]
    assert run_status(run) == "waiting"
    with hold_lock(tmp_path / ".state/train/custom/tiny_cnn/r24/seed0/lock", "this run"):
        assert run_status(run) == "training"
    assert run_status(run) == "failed"
    files.write_json(run.folder / "metrics.json", {"status": "ok"})
    assert run_status(run) == "waiting"  # for its scores


def test_a_diverged_run_has_no_scores_but_its_device_is_known(folder: Path) -> None:
    row = run_row(folder, "tiny_cnn", 24, 0)
    assert (row["accuracy"], row["n_test"], row["device"], row["reason"]) == (
        "",
        "",
        "cpu",
        "it diverged",
    )


def test_the_scores_of_a_run_are_those_at_its_training_resolution(folder: Path) -> None:
    stored = files.read_arrays(folder / "runs/custom/tiny_cnn/r48/seed1/predictions.npz")
    expected = metrics.compute_scores(stored["logits_r48"], stored["label"])
    row = run_row(folder, "tiny_cnn", 48, 1)
    assert float(row["accuracy"]) == expected["accuracy"]
    assert float(row["log_loss"]) == pytest.approx(expected["log_loss"])
    assert row["epochs"] == "8"


def test_every_finished_run_is_evaluated_at_every_resolution(folder: Path) -> None:
    assert len(read(folder, "evaluation")) == 5 * 2


def test_pair_accuracy_asks_only_about_the_pair(folder: Path) -> None:
    row = next(row for row in read(folder, "classes") if row["class"] == "ray-bars")
    assert float(row["pair_accuracy"]) >= float(row["accuracy"])
    assert row["group"] == "fine"


def test_p99_is_blank_under_a_thousand_repetitions(folder: Path) -> None:
    assert {row["latency_ms_p99"] for row in read(folder, "profiles")} == {""}


def test_a_profile_has_a_row_a_measurement_of_every_variant(folder: Path) -> None:
    rows = [
        (row["resolution"], row["variant"], row["batch_size"])
        for row in read(folder, "profiles")
        if row["model"] == "tiny_cnn"
    ]
    assert rows == [
        (px, *one)
        for px in ("24", "48")
        for one in (("eager", "1"), ("eager", "32"), ("training_step", "32"))
    ]


def test_a_cell_costs_what_its_models_first_variant_does(folder: Path) -> None:
    measured = next(
        row
        for row in read(folder, "profiles")
        if (row["model"], row["batch_size"]) == ("tiny_cnn", "1")
    )
    assert read(folder, "cells")[0]["latency_ms_p50"] == measured["latency_ms_p50"]


def test_the_stages_of_a_picture_add_up(folder: Path) -> None:
    rows = read(folder, "stages")
    assert len(rows) == 4
    for row in rows:
        assert float(row["total_ms"]) == pytest.approx(
            sum(float(row[f"{stage}_ms"]) for stage in ("decode", "resize", "copy", "forward"))
        )


def test_a_profile_from_before_there_were_rounds_leaves_blanks(tmp_path: Path) -> None:
    sweep = Sweep(
        models=("tiny_cnn",),
        resolutions=(24, 48),
        seeds=(0,),
        test=40,
        val=24,
        variants=("eager",),
    )
    manifest = write_results(tmp_path, sweep)
    path = tmp_path / "profiles/custom/tiny_cnn.json"
    known = {*tables.PROFILES[: tables.PROFILES.index("rounds")], "latency_ms_rounds"}
    old = [
        {name: value for name, value in cell.items() if name in known}
        for cell in files.read_json(path)["cells"]
    ]
    files.write_json(path, {"job": {}, "environment": {}, "reference": {}, "cells": old})
    write_all(tmp_path, sweep, manifest)
    assert {row["latency_ms_low"] for row in read(tmp_path, "profiles")} == {""}
    assert [read(tmp_path, name) for name in ("stages", "neighbours", "cost", "energy")] == [
        [],
        [],
        [],
        [],
    ]
    assert float(read(tmp_path, "cells")[0]["latency_ms_p50"]) > 0


def test_explanations_are_averaged_over_all_pictures_and_over_each_group(folder: Path) -> None:
    own = [
        row
        for row in read(folder, "explanations")
        if (row["model"], row["resolution"], row["seed"]) == ("tiny_cnn", "48", "0")
    ]
    gradcam = {row["group"]: row for row in own if row["method"] == "gradcam"}
    assert list(gradcam) == ["all", "outline", "broad", "medium", "fine"]
    pictures = pd.read_csv(
        folder / "runs/custom/tiny_cnn/r48/seed0/explanations/localisation.csv"
    )
    fine = pictures[(pictures["method"] == "gradcam") & (pictures["group"] == "fine")]
    assert float(gradcam["fine"]["relevance_mass"]) == pytest.approx(
        fine["relevance_mass"].mean()
    )


def test_a_cell_counts_the_seeds_that_finished(folder: Path) -> None:
    counts = {
        (row["model"], row["resolution"]): (row["n_runs"], row["n_seeds"])
        for row in read(folder, "cells")
    }
    assert counts == {
        ("tiny_cnn", "24"): ("2", "0"),
        ("tiny_cnn", "48"): ("2", "2"),
        ("simple_cnn", "24"): ("2", "2"),
        ("simple_cnn", "48"): ("2", "1"),
    }


def test_a_cell_without_a_finished_run_keeps_its_latency(folder: Path) -> None:
    row = read(folder, "cells")[0]
    assert row["accuracy"] == ""
    assert float(row["latency_ms_p50"]) > 0


def test_an_interval_says_how_it_was_made(folder: Path) -> None:
    methods = {
        (row["model"], row["resolution"]): row["interval"] for row in read(folder, "cells")
    }
    assert methods["simple_cnn", "48"] == "Wilson, this network only"
    assert methods["simple_cnn", "24"] == "crossed t, pooled"


def test_a_groups_margin_is_that_of_the_whole_over_its_share(folder: Path) -> None:
    margins = {row["group"]: float(row["margin"]) for row in read(folder, "knees")}
    assert margins == pytest.approx(
        {"all": 0.02, "outline": 0.08, "broad": 0.08, "medium": 0.08, "fine": 0.08}
    )


def test_data_without_groups_has_empty_group_tables(tmp_path: Path) -> None:
    aggregate(
        tmp_path,
        Sweep(
            models=("tiny_cnn",), resolutions=(24,), seeds=(0,), test=40, val=24, grouped=False
        ),
    )
    assert read(tmp_path, "groups") == []
    assert {row["group"] for row in read(tmp_path, "classes")} == {""}
    assert {row["group"] for row in read(tmp_path, "explanations")} == {"all"}


def test_an_unfinished_sweep_is_told_as_far_as_it_went(tmp_path: Path) -> None:
    sweep = Sweep(
        models=("tiny_cnn",),
        resolutions=(24,),
        seeds=(0,),
        test=40,
        val=24,
        profiled=False,
        waiting=(("tiny_cnn", 24, 0),),
    )
    aggregate(tmp_path, sweep)
    assert [row["status"] for row in read(tmp_path, "runs")] == ["waiting"]
    assert files.read_json(tmp_path / "tables/choice.json")["status"] == "none"


def test_differing_environments_are_kept_as_confounds(tmp_path: Path) -> None:
    sweep = Sweep(models=("tiny_cnn",), resolutions=(24,), test=40, val=24)
    manifest = aggregate(tmp_path, sweep)
    path = tmp_path / "runs/custom/tiny_cnn/r24/seed1/metrics.json"
    metrics = files.read_json(path)
    files.write_json(
        path, metrics | {"environment": metrics["environment"] | {"torch": "2.15.0"}}
    )
    write_all(tmp_path, sweep, manifest)
    assert files.read_json(tmp_path / "tables/environment.json")["torch"] == [
        "2.11.0",
        "2.15.0",
    ]


def test_the_same_results_give_the_same_tables(folder: Path, tmp_path: Path) -> None:
    aggregate(tmp_path, SWEEP)
    for path in sorted((folder / "tables").iterdir()):
        assert (tmp_path / "tables" / path.name).read_bytes() == path.read_bytes()


def test_the_matrix_diagonal_is_the_cells_accuracy(folder: Path) -> None:
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
