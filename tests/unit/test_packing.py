import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.data.store.store import open_store
from resomap.deploy.measurements import read_measurements
from resomap.deploy.run import export_run
from resomap.entry.exported_run import open_images, open_network
from resomap.system import files
from resomap.training.checkpoint import load_weights, recorded_normalisation
from resomap.workflow.jobs import Export
from tests.small_sweep import MODEL, SEEDS, SIDE, write_sweep

QUICK = {"rounds": 5, "round_seconds": 0.02, "warmup_seconds": 0.05}
CELL = f"{MODEL}@{SIDE}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("sweep")
    config = write_sweep(folder)
    for seed in SEEDS:
        write_export(folder / "results", config, seed)
    return folder


def write_export(results, config, seed):
    """Export a run of the small sweep as its job does, and write it as the rule does."""
    architecture = next(model for model in config.models if model.name == MODEL)
    job = Export(
        code="",
        data=config.data,
        data_code="",
        architecture=architecture,
        resolution=SIDE,
        seed=seed,
        eval_resolution=SIDE,
        precisions=("fp32", "int8"),
    )
    run = Path("custom", MODEL, f"r{SIDE}", f"seed{seed}")
    state, metadata = load_weights(results / "checkpoints" / run / "best.safetensors")
    store = open_store(results / "data/manifest.json")
    store = store.normalised_by(recorded_normalisation(metadata))
    network = open_network(job, store.num_classes, state)
    exported = export_run(network, open_images(job, store), job.precisions, SIDE, job.title)
    folder = results / "deploy" / run / f"at{SIDE}"
    folder.mkdir(parents=True)
    for precision, content in exported.networks.items():
        (folder / f"{precision}.onnx").write_bytes(content)
    files.write_arrays(folder / "logits.npz", **exported.logits)
    files.write_json(
        folder / "export.json", {**exported.record, "job": job.model_dump(mode="json")}
    )


def run_pack(directory, *arguments):
    return CliRunner().invoke(
        app, ["measure-pack", *arguments, "--directory", str(directory)], catch_exceptions=False
    )


@pytest.fixture(scope="module")
def pack(directory, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack") / "pack"
    result = run_pack(directory, "--output", str(folder))
    assert result.exit_code == 0, result.output
    quicken(folder)
    return folder


def quicken(folder):
    listed = json.loads((folder / "pack.json").read_text())
    (folder / "pack.json").write_text(json.dumps({**listed, "timing": QUICK}))


def measure(folder, *arguments):
    command = [sys.executable, str(folder / "measure.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_pack_lists_one_seed_of_every_precision(pack):
    listed = json.loads((pack / "pack.json").read_text())
    found = [
        (each["identity"]["seed"], each["identity"]["precision"]) for each in listed["networks"]
    ]
    assert found == [(0, "fp32"), (0, "int8")]
    assert set(listed["files"]) == {
        str(path.relative_to(pack)) for path in pack.rglob("*.*") if path.name != "pack.json"
    }
    for name, digest in listed["files"].items():
        assert hashlib.sha256((pack / name).read_bytes()).hexdigest() == digest


def test_measured_pack_becomes_rows_of_its_device(directory, pack, tmp_path):
    result = measure(pack, "--output", str(tmp_path / "pi5.json"))
    assert result.returncode == 0, result.stderr
    rows = read_measurements([tmp_path / "pi5.json"], directory / "results")["pi5"]
    assert [(row["precision"], row["resolution"]) for row in rows] == [
        *(("fp32", SIDE), ("int8", SIDE)),
    ]
    for row in rows:
        assert (row["status"], row["threads"], row["variant"]) == ("ok", 1, "onnxruntime")
        assert 0 < row["latency_ms_p50"] <= row["latency_ms_p90"]
        assert len(row["ratio_rounds"]) >= 5
        assert row["peak_memory_mib"] > 10
    record = json.loads((tmp_path / "pi5.json").read_text())
    assert record["device"]["onnxruntime"]
    assert list(tmp_path.iterdir()) == [tmp_path / "pi5.json"]
