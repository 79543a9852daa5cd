"""The export of one trained run, from its images to the table."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from resomap.config.data import PrepareOptions
from resomap.config.load import build_config, merge
from resomap.data.store.store import open_store
from resomap.deploy import quantise
from resomap.deploy import run as deploy_run
from resomap.deploy.export import read_record
from resomap.deploy.sessions import compute_logits, open_session
from resomap.entry import export, prepare_data, resize_data
from resomap.entry.exported_run import open_images
from resomap.models.registry import build_model, resize_network
from resomap.system.files import read_arrays, read_json
from resomap.training.checkpoint import save_weights
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.optional_packages import require_packages
from workflow_scripts import compare_exports

require_packages("onnx", "onnxscript", "onnxruntime")

SWEEP = {
    "sweep": {"models": ["tiny_cnn"], "resolutions": [16, 24], "seeds": [0]},
    "data": {
        "native_resolution": 32,
        "reef": {"train": 32, "val": 16, "test": 24, "frequencies": [4.0, 6.0, 10.0]},
    },
    "system": {
        "device": "cpu",
        "deploy": {
            "runtimes": ["onnxruntime"],
            "precisions": ["fp32", "int8"],
            "cells": "all",
            "max_flips": None,
            "measurements": [],
        },
    },
}
WILDCARDS = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}


@pytest.fixture(scope="module")
def config(defaults):
    return build_config(merge(defaults, SWEEP))


@pytest.fixture(scope="module")
def data(tmp_path_factory, config) -> Path:
    manifest = tmp_path_factory.mktemp("data") / "manifest.json"
    options = PrepareOptions(download=False, resolutions=(16, 24))
    prepare_data.main(build_job(config, jobs.PrepareData), manifest, options, threads=1)
    for side in ("16", "24"):
        job = build_job(config, jobs.ResizeData, resolution=side)
        resize_data.main(job, manifest, threads=1)
    return manifest


@pytest.fixture(scope="module")
def weights(tmp_path_factory, config, data) -> Path:
    torch.manual_seed(0)
    classes = len(read_json(data)["classes"])
    job = build_job(config, jobs.Export, **WILDCARDS, eval_resolution="16")
    network = build_model(job.architecture, classes)
    path = tmp_path_factory.mktemp("weights") / "best.safetensors"
    save_weights(path, network.state_dict(), {"status": "ok"})
    return path


def build_export(config, eval_resolution):
    return build_job(config, jobs.Export, **WILDCARDS, eval_resolution=eval_resolution)


def run_export(folder, config, data, weights, eval_resolution="16", **changes):
    job = build_export(config, eval_resolution)
    return export_files(job.model_copy(update=changes), folder, data, weights)


def export_files(job, folder, data, weights):
    networks = tuple(folder / f"{name}.onnx" for name in job.precisions)
    files = (folder / "export.json", folder / "logits.npz")
    export.main(job, data, weights, networks, *files, threads=1)
    return read_json(files[0]), read_arrays(files[1])


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("side", ["16", "24"])
def test_run_is_exported_at_a_test_resolution(tmp_path, config, data, weights, side):
    record, logits = run_export(tmp_path, config, data, weights, side)
    assert (record["status"], record["reason"]) == ("deployable", None)
    assert (record["parity"]["images"], record["parity"]["flips"]) == (24, 0)
    assert logits.keys() == {"label", "torch", "fp32", "int8", "val_int8"}
    # The choice reads validation images, which are others than those of the test.
    assert (len(logits["int8"]), len(logits["val_int8"])) == (24, 16)
    session = open_session((tmp_path / "int8.onnx").read_bytes())
    batches = open_images(build_export(config, side), open_store(data)).selection()
    assert np.array_equal(logits["val_int8"], compute_logits(session, batches))
    assert np.abs(logits["torch"] - logits["fp32"]).max() < 1e-4
    for precision in ("fp32", "int8"):
        inside = read_record((tmp_path / f"{precision}.onnx").read_bytes())
        assert (inside["precision"], inside["resolution"]) == (precision, int(side))
    assert record["networks"]["int8"]["quantisation"]["calibration_images"] == 32

    job = build_job(config, jobs.CompareExports)
    compare_exports.main(job, (tmp_path / "export.json",), tmp_path / "deploy.csv")
    fp32, int8 = read_table(tmp_path / "deploy.csv")
    assert (fp32["certified"], fp32["deployable"], fp32["n"]) == ("True", "1", "24")
    # 24 images never show a loss within two points.
    assert (int8["certified"], int8["n_seeds"]) == ("False", "1")


def test_transformer_is_exported_padded_and_with_resized_positions(tmp_path, defaults, data):
    small = {"family": "vit", "builder": "tests.exported_networks:build_vit", "off_grid": "pad"}
    change = merge(SWEEP, {"models": {"small_vit": small}, "sweep": {"models": ["small_vit"]}})
    config = build_config(merge(defaults, change))
    run = {"family": "vit", "model": "small_vit", "resolution": "24", "seed": "0"}
    job = build_job(config, jobs.Export, **run, eval_resolution="16")
    torch.manual_seed(0)
    network = build_model(job.architecture, len(read_json(data)["classes"]), 24)
    # Both are zero at first, and would hide wrong positions.
    torch.nn.init.normal_(network.encoder.pos_embedding)
    torch.nn.init.normal_(network.heads.head.weight)
    save_weights(tmp_path / "best.safetensors", network.state_dict(), {"status": "ok"})

    record, logits = export_files(job, tmp_path, data, tmp_path / "best.safetensors")
    assert record["status"] == "deployable"
    # 24 px are padded to 3 x 3 patches, 16 px to 2 x 2.
    resized = resize_network(network, job.architecture, logits["torch"].shape[1], 16).eval()
    assert resized.encoder.pos_embedding.shape == (1, 5, 16)
    images = next(iter(open_images(job, open_store(data)).test()))
    with torch.no_grad():
        expected = resized(torch.from_numpy(images)).numpy()
    assert np.abs(logits["fp32"][: len(expected)] - expected).max() < 1e-4 * np.ptp(expected)
    assert np.ptp(expected, axis=0).min() > 0


def test_diverged_run_has_empty_files(tmp_path, config, data):
    weights = tmp_path / "best.safetensors"
    save_weights(weights, {}, {"status": "diverged"})
    record, logits = run_export(tmp_path, config, data, weights)
    assert record["status"] == "diverged"
    assert len(logits["label"]) == 0
    assert [(tmp_path / f"{name}.onnx").stat().st_size for name in ("fp32", "int8")] == [0, 0]


def test_network_that_cannot_be_quantised_keeps_its_fp32(
    tmp_path, config, data, weights, monkeypatch
):
    def refuse(*_, **__):
        raise ValueError("cannot reshape\nmore")

    monkeypatch.setattr(quantise, "_quantise_file", refuse)
    record, _ = run_export(tmp_path, config, data, weights)
    reason = "it cannot be quantised: ValueError: cannot reshape"
    assert record["status"] == "deployable"
    assert record["networks"]["int8"] == {"failure": reason}
    assert (tmp_path / "int8.onnx").stat().st_size == 0
    assert (tmp_path / "fp32.onnx").stat().st_size == record["networks"]["fp32"]["bytes"]

    job = build_job(config, jobs.CompareExports)
    compare_exports.main(job, (tmp_path / "export.json",), tmp_path / "deploy.csv")
    fp32, int8 = read_table(tmp_path / "deploy.csv")
    assert (fp32["deployable"], fp32["certified"]) == ("1", "True")
    assert (int8["deployable"], int8["certified"], int8["accuracy"]) == ("0", "False", "")


def test_wrong_export_is_named_and_not_written(
    tmp_path, config, data, weights, monkeypatch, capsys
):
    import onnx

    made = deploy_run.export_network

    def export_wrongly(*arguments):
        exported = made(*arguments)
        model = onnx.load_from_string(exported.content)
        bias = next(each for each in model.graph.initializer if each.name == "head.bias")
        values = onnx.numpy_helper.to_array(bias)
        bias.CopyFrom(onnx.numpy_helper.from_array(np.roll(values, 1), bias.name))
        return exported.__class__(model.SerializeToString(), exported.record)

    monkeypatch.setattr(deploy_run, "export_network", export_wrongly)
    record, logits = run_export(tmp_path, config, data, weights)
    assert record["status"] == "not deployable"
    assert not record["parity"]["deployable"]
    assert [(tmp_path / f"{name}.onnx").stat().st_size for name in ("fp32", "int8")] == [0, 0]
    printed = capsys.readouterr().out
    assert "tiny_cnn trained at 24 px, seed 0, for images of 16 px" in printed
    assert "They first part at head (" in printed
    assert "int8" not in logits


def test_network_is_proven_in_every_runtime(tmp_path, config, data, weights):
    require_packages("openvino")
    runtimes = ("onnxruntime", "openvino")
    record, logits = run_export(tmp_path, config, data, weights, runtimes=runtimes)
    proof = record["runtimes"]["openvino"]
    assert proof["INFERENCE_PRECISION_HINT"] == "f32"
    assert (proof["parity"]["images"], proof["parity"]["flips"]) == (24, 0)
    assert proof["parity"]["largest_difference"] < 1e-5
    assert proof["failures"] == {"fp32": None, "int8": None}
    assert logits["openvino_int8"].shape == logits["int8"].shape
    difference = np.abs(logits["openvino_int8"] - logits["torch"]).max()
    assert 0 < difference < 0.2 * np.ptp(logits["torch"])

    job = build_job(config, jobs.CompareExports)
    compare_exports.main(job, (tmp_path / "export.json",), tmp_path / "deploy.csv")
    rows = read_table(tmp_path / "deploy.csv")
    assert [(row["runtime"], row["flips"]) for row in rows] == [
        *(2 * [("onnxruntime", "0")]),
        *(2 * [("openvino", "0")]),
    ]


def test_network_of_an_earlier_precision_is_removed(tmp_path, config, data, weights):
    run_export(tmp_path, config, data, weights)
    run_export(tmp_path, config, data, weights, precisions=("int8",))
    assert [path.name for path in tmp_path.glob("*.onnx")] == ["int8.onnx"]
