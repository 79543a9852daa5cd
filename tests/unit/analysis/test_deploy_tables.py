import numpy as np
import pytest

from resomap.analysis.deploy_tables import deploy_rows
from resomap.analysis.precision_loss import measure_loss
from resomap.system.files import read_json, write_arrays, write_json

LABELS = np.arange(400) % 4


def logits_of(errors, seed):
    """Return logits that are wrong on the first images."""
    answers = np.where(np.arange(400) < errors, (LABELS + 1) % 4, LABELS)
    return (np.eye(4)[answers] + 0.1 * np.random.default_rng(seed).random((400, 4))).astype(
        "f4"
    )


def write_export(
    folder, seed, *, int8_errors=40, status="deployable", runtimes=("onnxruntime",), **parity
):
    quantisation = {"granularity": "per_tensor", "calibration_images": 256}
    compared = {"images": 400, "flips": 0, "largest_difference": 1e-6, **parity}
    job = {"architecture": {"family": "custom", "name": "tiny_cnn"}, "seed": seed}
    job |= {"resolution": 24, "eval_resolution": 48, "precisions": ["fp32", "int8"]}
    job["runtimes"] = list(runtimes)
    failed = status == "not deployable"
    record = {
        "status": status,
        "reason": "tiny_cnn differs\nThey first part at head" if failed else None,
        "runtimes": {},
        "job": job,
        "parity": None if status == "diverged" else compared,
        "networks": {
            "fp32": {"bytes": 2**20},
            "int8": {"bytes": 2**18, "quantisation": quantisation},
        },
    }
    fp32 = logits_of(36, seed)
    logits = {"label": LABELS, "fp32": fp32, "int8": logits_of(int8_errors, seed)}
    if "openvino" in runtimes:
        logits |= {"openvino_fp32": logits_of(36, 9), "openvino_int8": logits_of(56, 9)}
        proof = {"parity": {**compared, "largest_difference": 2e-6}, "failures": {}}
        record["runtimes"]["openvino"] = proof
    path = folder / f"seed{seed}" / "export.json"
    write_json(path, record)
    write_arrays(path.with_name("logits.npz"), **logits)
    return path, logits


def test_row_has_agreement_and_the_paired_loss_over_seeds(tmp_path):
    exports = [write_export(tmp_path, seed) for seed in (0, 1)]
    fp32, int8 = deploy_rows([path for path, _ in exports], 0.05, 0.95)
    reference, lowered = (
        np.stack([logits[name] for _, logits in exports]) for name in ("fp32", "int8")
    )
    loss = measure_loss(LABELS, reference, lowered, 0.95)
    assert (int8["model"], int8["train_resolution"], int8["eval_resolution"]) == (
        "tiny_cnn",
        24,
        48,
    )
    assert int8["agreement"] == pytest.approx(396 / 400)
    assert int8["accuracy"] == pytest.approx(0.9)
    assert int8["accuracy_lost"] == pytest.approx(0.01)
    assert int8["accuracy_lost_high"] == loss.lost.high < 0.05
    assert int8["certified"]
    assert (int8["granularity"], int8["file_mib"]) == ("per_tensor per_tensor", 0.25)
    assert fp32["accuracy"] == pytest.approx(0.91)
    assert fp32["certified"]
    assert (fp32["n"], fp32["n_seeds"], fp32["deployable"], fp32["flips"]) == (400, 2, 2, 0)


def test_network_that_quantises_badly_is_not_certified(tmp_path):
    path, _ = write_export(tmp_path, 0, int8_errors=80)
    fp32, int8 = deploy_rows([path], 0.05, 0.95)
    assert int8["accuracy_lost"] == pytest.approx(0.11)
    assert (fp32["certified"], int8["certified"]) == (True, False)


def test_run_that_is_not_deployable_takes_the_certificate_away(tmp_path):
    good, _ = write_export(tmp_path, 0)
    bad, _ = write_export(
        tmp_path, 1, status="not deployable", flips=3, largest_difference=None
    )
    fp32, int8 = deploy_rows([good, bad], 0.05, 0.95)
    assert not fp32["certified"]
    assert not int8["certified"]
    assert (fp32["deployable"], fp32["n_seeds"], fp32["flips"]) == (1, 2, 3)
    assert fp32["largest_difference"] is None


def test_diverged_run_is_no_export(tmp_path):
    good, _ = write_export(tmp_path, 0)
    diverged, _ = write_export(tmp_path, 1, status="diverged")
    fp32, _ = deploy_rows([good, diverged], 0.05, 0.95)
    assert (fp32["deployable"], fp32["n_seeds"], fp32["certified"]) == (1, 1, True)


def test_cell_without_a_deployable_run_has_a_row(tmp_path):
    path, _ = write_export(tmp_path, 0, status="diverged")
    rows = list(deploy_rows([path], 0.05, 0.95))
    assert [row["certified"] for row in rows] == [False, False]
    assert rows[0]["n_seeds"] == 0


RUNTIMES = ("onnxruntime", "openvino")


def test_each_runtime_has_rows_of_its_own(tmp_path):
    path, _ = write_export(tmp_path, 0, runtimes=RUNTIMES)
    rows = list(deploy_rows([path], 0.05, 0.95))
    ways = [(row["runtime"], row["precision"]) for row in rows]
    assert ways == [(runtime, name) for runtime in RUNTIMES for name in ("fp32", "int8")]
    _, here, fp32, there = rows
    assert here["accuracy_lost"] == pytest.approx(0.01)
    assert there["accuracy_lost"] == pytest.approx(0.05)
    assert (here["largest_difference"], there["largest_difference"]) == (1e-6, 2e-6)
    assert (here["certified"], fp32["certified"], there["certified"]) == (True, True, False)


def fail_in_openvino(path, precision, reason, **changes):
    record = read_json(path)
    proof = record["runtimes"]["openvino"]
    proof["failures"][precision] = reason
    proof["parity"] = None if changes.get("unread") else proof["parity"]
    write_json(path, record)


def test_wrong_answers_in_one_runtime_leave_the_other_deployable(tmp_path):
    good, _ = write_export(tmp_path, 0, runtimes=RUNTIMES)
    bad, _ = write_export(tmp_path, 1, runtimes=RUNTIMES)
    fail_in_openvino(bad, "fp32", "tiny_cnn, in OpenVINO: differs\nmore")
    rows = list(deploy_rows([good, bad], 0.05, 0.95))
    assert [row["deployable"] for row in rows] == [2, 2, 1, 1]
    assert [row["certified"] for row in rows] == [True, True, False, False]
    assert [row["failure"] for row in rows] == ["", "", *2 * ["tiny_cnn, in OpenVINO: differs"]]


def test_int8_that_a_runtime_cannot_run_takes_no_other_certificate(tmp_path):
    path, _ = write_export(tmp_path, 0, runtimes=RUNTIMES)
    fail_in_openvino(path, "int8", "OpenVINO cannot run its int8")
    rows = list(deploy_rows([path], 0.05, 0.95))
    assert [row["certified"] for row in rows] == [True, True, True, False]
    assert "accuracy" not in rows[3]


def test_run_that_cannot_be_exported_is_deployable_nowhere(tmp_path):
    path, _ = write_export(tmp_path, 0, status="not deployable", runtimes=RUNTIMES)
    rows = list(deploy_rows([path], 0.05, 0.95))
    assert [row["deployable"] for row in rows] == [0, 0, 0, 0]
    assert {row["failure"] for row in rows} == {"tiny_cnn differs"}
