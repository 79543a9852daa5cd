"""Two small sweeps that differ in one thing each."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.compare_results import compare_files, kind_of, main
from resomap.system import files

RUN = "runs/custom/tiny_cnn/r24/seed0"
WEIGHTS = "checkpoints/custom/tiny_cnn/r24/seed0/best.safetensors"
METRICS = {
    "job": {"code": "abc", "training": {"optimizer": {"lr": 0.1}}},
    "environment": {"torch": "2.0"},
    "scores": {"val_loss": 0.5},
    "status": "ok",
}


def write_weights(path, *, value=1.0, code="abc"):
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"a": torch.tensor([0.0, value]), "b": torch.ones(2, dtype=torch.bfloat16)}
    save_file(tensors, path, metadata={"resomap": json.dumps({"status": "ok", "code": code})})


@pytest.fixture
def sweeps(tmp_path):
    """Return a folder with two working directories, `before` and `after`, of equal results."""
    results = tmp_path / "before" / "results"
    write_weights(results / WEIGHTS)
    history = [
        {"epoch": 0, "val_loss": 0.75, "lr": 0.1},
        {"epoch": 1, "val_loss": 0.5, "lr": 0.1},
    ]
    files.write_rows(results / RUN / "history.csv", history, list(history[0]))
    files.write_json(results / RUN / "metrics.json", METRICS)
    files.write_json(results / RUN / "timing.json", {"train_seconds": 3.0})
    files.write_arrays(results / RUN / "predictions.npz", logits_r24=np.array([[0.0, np.nan]]))
    files.write_array(results / "data" / "native.npy", np.zeros((3, 2), np.uint8))
    files.write_json(results / "data" / "manifest.json", {"mean": [0.1, 0.2]})
    profile = {"model": "tiny_cnn", "n": 90, "macs": 12, "latency_ms_p50": 0.4}
    files.write_rows(results / "tables" / "profiles.csv", [profile], list(profile))
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    return tmp_path


@pytest.fixture
def compare(sweeps, capsys):
    def run(*options):
        code = main([str(sweeps / "before"), str(sweeps / "after"), *options])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def after(sweeps):
    return sweeps / "after" / "results"


def rewrite_csv(path, change):
    with path.open(newline="") as stream:
        rows = change(list(csv.reader(stream)))
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def test_equal_sweeps_return_zero(compare):
    code, output = compare()
    assert code == 0
    counts = {line.split()[0]: line.split()[1:6:2] for line in output.splitlines()}
    assert counts["weights"] == ["1", "1", "0"]
    assert counts["data"] == ["2", "2", "0"]


def test_changed_bit_in_weights_is_reported(compare, after):
    write_weights(after / WEIGHTS, value=float(np.nextafter(np.float32(1), np.float32(2))))
    code, output = compare()
    assert code == 1
    assert f"{WEIGHTS}: a (F32) row 1 element 0: 1.0 -> 1.0000001" in output


def test_other_code_digest_is_no_difference(compare, after):
    write_weights(after / WEIGHTS, code="def")
    files.write_json(after / RUN / "metrics.json", METRICS | {"environment": {}})
    assert compare()[0] == 0


def test_changed_cell_names_column_row_and_values(compare, after):
    rewrite_csv(after / RUN / "history.csv", lambda rows: [*rows[:2], ["1", "0.25", "0.1"]])
    code, output = compare()
    assert code == 1
    assert f"{RUN}/history.csv: column val_loss row 1: 0.5 -> 0.25" in output


def test_lost_row_is_reported(compare, after):
    rewrite_csv(after / RUN / "history.csv", lambda rows: rows[:2])
    assert "column epoch: 2 rows -> 1 rows" in compare()[1]


def rename_learning_rate(after):
    rewrite_csv(
        after / RUN / "history.csv",
        lambda rows: [["epoch", "val_loss", "learning_rate"], *rows[1:]],
    )
    job = {"code": "xyz", "training": {"optimizer": {"learning_rate": 0.1}}}
    files.write_json(after / RUN / "metrics.json", METRICS | {"job": job})


def test_renamed_column_without_rename_is_reported(compare, after):
    rename_learning_rate(after)
    code, output = compare()
    assert code == 1
    assert "column lr: present -> absent" in output
    assert "job.training.optimizer.learning_rate: absent -> 0.1" in output


def test_renamed_column_with_rename_is_equal(compare, after):
    rename_learning_rate(after)
    assert compare("--rename", "lr=learning_rate")[0] == 0


def test_unused_rename_changes_nothing(compare):
    assert compare("--rename", "lr=learning_rate")[0] == 0


def test_reordered_columns_are_reported(compare, after):
    rewrite_csv(after / RUN / "history.csv", lambda rows: [row[::-1] for row in rows])
    assert "order of columns: epoch, val_loss, lr -> lr, val_loss, epoch" in compare()[1]


def test_missing_and_additional_files_are_reported(compare, after):
    (after / WEIGHTS).unlink()
    (after / "tables" / "new.csv").write_text("a\n1\n")
    code, output = compare()
    assert code == 1
    assert f"{WEIGHTS}: file: present -> absent" in output
    assert "tables/new.csv: file: absent -> present" in output


def test_renamed_file_with_rename_is_equal(compare, after):
    (after / "data" / "native.npy").rename(after / "data" / "stored.npy")
    assert compare()[0] == 1
    assert compare("--rename", "data/native.npy=data/stored.npy")[0] == 0


def test_changed_scores_and_status_are_reported(compare, after):
    changed = METRICS | {"scores": {"val_loss": 0.25}, "status": "diverged"}
    files.write_json(after / RUN / "metrics.json", changed)
    output = compare()[1]
    assert "scores.val_loss: 0.5 -> 0.25" in output
    assert "status: ok -> diverged" in output


def test_changed_arrays_name_their_first_element(compare, after):
    files.write_arrays(after / RUN / "predictions.npz", logits_r24=np.array([[0.0, 1.0]]))
    files.write_array(after / "data" / "native.npy", np.eye(3, 2, k=-1, dtype=np.uint8))
    output = compare()[1]
    assert "logits_r24 row 0 element 1: nan -> 1.0" in output
    assert "native.npy: array row 1 element 0: 0 -> 1" in output


def test_other_array_type_is_reported(compare, after):
    files.write_array(after / "data" / "native.npy", np.zeros((3, 2), np.int8))
    assert "array: uint8 (3, 2) -> int8 (3, 2)" in compare()[1]


def test_timings_are_no_difference(compare, after):
    files.write_json(after / RUN / "timing.json", {"train_seconds": 4.0})
    profile = {"model": "tiny_cnn", "n": 70, "macs": 12, "latency_ms_p50": 0.5}
    files.write_rows(after / "tables" / "profiles.csv", [profile], list(profile))
    assert compare()[0] == 0


def test_changed_macs_are_reported(compare, after):
    rewrite_csv(
        after / "tables" / "profiles.csv",
        lambda rows: [rows[0], ["tiny_cnn", "90", "13", "0.4"]],
    )
    assert "tables/profiles.csv: column macs row 0: 12 -> 13" in compare()[1]


def test_damaged_file_is_reported_without_traceback(compare, after):
    (after / RUN / "predictions.npz").write_bytes(b"PK")
    assert "not readable" in compare()[1]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{RUN}/explanations/gradcam.npz", "explanations"),
        ("data/r24/test.npy", "data"),
        ("data/.lock", None),
        ("model_summaries/tiny_cnn/r24/summary.txt", "model summaries"),
        ("tables/choice.json", "choice"),
        ("tables/answer.json", "choice"),
        ("tables/energy.csv", None),
        ("figures/mean_maps.csv", "figures"),
        ("figures/cost_breakdown.csv", None),
        (".state/train/log.txt", None),
        ("unknown.bin", "other"),
    ],
)
def test_path_decides_kind(path, kind):
    assert kind_of(path) == kind


def test_folder_without_results_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="has no results/ folder"):
        main([str(tmp_path), str(tmp_path)])


def test_damaged_json_is_a_difference_and_no_crash(tmp_path):
    for name, content in (("a.json", "{}"), ("b.json", "{")):
        (tmp_path / name).write_text(content)
    (difference,) = compare_files(tmp_path / "a.json", tmp_path / "b.json", {})
    assert "not readable" in str(difference)
