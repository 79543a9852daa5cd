import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.deploy.measurements import read_measurements
from resomap.errors import ConfigError
from tests.exported_sweep import write_exported_sweep
from tests.optional_packages import require_packages
from tests.small_sweep import MODEL, SIDE

require_packages("onnx", "onnxruntime", "onnxscript")

QUICK = {"rounds": 5, "round_seconds": 0.02, "warmup_seconds": 0.05}
CELL = f"{MODEL}@{SIDE}"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    write_exported_sweep(folder)
    return folder


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


def measure(folder, *arguments, **options):
    command = [sys.executable, str(folder / "measure.py"), *arguments]
    options = {"capture_output": True, "text": True, "cwd": "/", **options}
    return subprocess.run(command, check=False, **options)


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
        assert row["peak_memory_mib"] > 0.5
    record = json.loads((tmp_path / "pi5.json").read_text())
    assert record["device"]["onnxruntime"]
    assert list(tmp_path.iterdir()) == [tmp_path / "pi5.json"]


# Imported before everything else by a Python with this folder on its path.
GUARD = """
import importlib.abc, sys

class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        first = name.partition(".")[0]
        if first in ("torch", "resomap", "PIL", "onnx", "scipy"):
            raise ModuleNotFoundError(f"{name} must not be imported")

sys.meta_path.insert(0, Guard())
"""


def test_measuring_imports_neither_torch_nor_resomap_nor_pillow(directory, pack, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    # Not the folder of this repository, where resomap could be found.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = measure(pack, "--output", str(tmp_path / "out.json"), env=environment)
    assert result.returncode == 0, result.stderr
    guarded = subprocess.run(
        [sys.executable, "-c", "import torch"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert guarded.returncode == 1
    assert read_measurements([tmp_path / "out.json"], directory / "results")["out"]


def copy_pack(pack, tmp_path):
    return shutil.copytree(pack, tmp_path / "copy")


def test_changed_and_missing_files_are_refused_before_measuring(pack, tmp_path):
    folder = copy_pack(pack, tmp_path)
    model, other = sorted((folder / "models").iterdir())
    model.write_bytes(model.read_bytes()[:-1])
    other.unlink()
    (folder / "prove.py").write_text((folder / "prove.py").read_text() + "\n")
    result = measure(folder)
    assert result.returncode == 1
    for path in (model, other, folder / "prove.py"):
        assert str(path.relative_to(folder)) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (folder / "measurement.json").exists()


def reseal(folder, name):
    """Give a changed file of a pack the digest that it has now."""
    listed = json.loads((folder / "pack.json").read_text())
    listed["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "pack.json").write_text(json.dumps(listed))


@pytest.mark.parametrize(("precision", "shift"), [("fp32", 0.01), ("int8", 0.5)])
def test_network_with_other_answers_is_not_measured(
    directory, pack, tmp_path, precision, shift
):
    folder = copy_pack(pack, tmp_path)
    (golden,) = (folder / "golden").glob(f"*{precision}.npz")
    with np.load(golden) as stored:
        images, logits = stored["images"], stored["logits"]
    logits[0, 0] += shift * np.ptp(logits)
    np.savez(golden, images=images, logits=logits)
    reseal(folder, f"golden/{golden.name}")
    result = measure(folder, "--output", str(tmp_path / "pi5.json"))
    assert result.returncode == 1
    assert "of their range" in result.stdout
    rows = read_measurements([tmp_path / "pi5.json"], directory / "results")["pi5"]
    assert {row["precision"]: row["status"] for row in rows} == {
        "fp32": "ok",
        "int8": "ok",
        precision: "wrong answers",
    }


def test_small_difference_of_int8_is_allowed(pack, tmp_path):
    folder = copy_pack(pack, tmp_path)
    (golden,) = (folder / "golden").glob("*int8.npz")
    with np.load(golden) as stored:
        images, logits = stored["images"], stored["logits"]
    logits += 0.02 * np.ptp(logits)
    np.savez(golden, images=images, logits=logits)
    reseal(folder, f"golden/{golden.name}")
    assert measure(folder).returncode == 0


def test_file_that_the_runtime_refuses_is_a_failed_network(directory, pack, tmp_path):
    folder = copy_pack(pack, tmp_path)
    model = next((folder / "models").glob("*int8.onnx"))
    model.write_bytes(b"no network")
    reseal(folder, f"models/{model.name}")
    result = measure(folder, "--output", str(tmp_path / "pi5.json"))
    assert result.returncode == 1
    assert "1 of 2 unusable, " in result.stdout
    # Its digest is that of no network of the sweep.
    with pytest.raises(ConfigError, match="stale"):
        read_measurements([tmp_path / "pi5.json"], directory / "results")


def test_run_that_is_killed_leaves_a_partial_record(directory, pack, tmp_path):
    folder = copy_pack(pack, tmp_path)
    listed = json.loads((folder / "pack.json").read_text())
    slow = {**QUICK, "rounds": 1000}
    (folder / "pack.json").write_text(json.dumps({**listed, "timing": slow}))
    output = tmp_path / "pi5.json"
    command = [sys.executable, str(folder / "measure.py"), "--output", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not output.exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert json.loads(output.read_text())["complete"] is False
    with pytest.raises(ConfigError, match="partial, not measured: tiny_cnn@24 seed 0 fp32, "):
        read_measurements([output], directory / "results")


@pytest.mark.parametrize("threads", ["0", "-1", "2000", "two"])
def test_impossible_numbers_of_threads_are_refused(pack, threads):
    result = measure(pack, "--threads", threads)
    assert result.returncode == 2
    assert "--threads" in result.stderr
    assert "Traceback" not in result.stderr


def test_openvino_measures_the_same_pack(directory, pack, tmp_path):
    pytest.importorskip("openvino")
    flags = ["--runtime", "openvino", "--threads", "2", "--output", str(tmp_path / "pi5.json")]
    result = measure(pack, *flags)
    rows = read_measurements([tmp_path / "pi5.json"], directory / "results")["pi5"]
    assert {(row["variant"], row["threads"]) for row in rows} == {("openvino", 2)}
    assert rows[0]["status"] == "ok", result.stdout


def test_runtime_that_is_not_installed_is_named_in_one_line(pack, tmp_path):
    blocked = 'raise ModuleNotFoundError("No module named \'openvino\'", name="openvino")'
    (tmp_path / "openvino.py").write_text(blocked)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    output = ("--output", str(tmp_path / "out.json"))
    result = measure(pack, "--runtime", "openvino", *output, env=environment)
    assert result.returncode == 1
    assert result.stderr == "error: No module named 'openvino'\n"
    assert not (tmp_path / "out.json").exists()


def test_network_of_another_training_is_stale(directory, pack, tmp_path):
    assert measure(pack, "--output", str(tmp_path / "pi5.json")).returncode == 0
    other = shutil.copytree(directory / "results", tmp_path / "results")
    runs = other / f"deploy/custom/{MODEL}/r{SIDE}"
    shutil.rmtree(runs / "seed0")
    (runs / "seed1").rename(runs / "seed0")
    with pytest.raises(ConfigError, match="stale, exported anew"):
        read_measurements([tmp_path / "pi5.json"], other)


def test_unknown_cell_and_sweep_without_exports_are_refused(directory, tmp_path):
    result = run_pack(directory, "tiny_cnm@24", "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert f"did you mean {CELL}" in result.stderr
    assert not (tmp_path / "out").exists()
    other = tmp_path / "sweep"
    shutil.copytree(directory / "results", other / "results")
    shutil.rmtree(other / "results/deploy")
    result = run_pack(other, "--output", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "run `snakemake deploy`" in result.stderr


def test_folder_that_is_a_file_is_refused_in_one_line(directory, tmp_path):
    (tmp_path / "taken").write_text("mine")
    result = run_pack(directory, "--output", str(tmp_path / "taken"))
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path / 'taken'}: File exists\n"


def test_seed_that_is_not_deployable_is_replaced_by_the_next(directory, tmp_path):
    other = tmp_path / "sweep"
    shutil.copytree(directory / "results", other / "results")
    export = other / f"results/deploy/custom/{MODEL}/r{SIDE}/seed0/at{SIDE}/export.json"
    record = json.loads(export.read_text())
    export.write_text(
        json.dumps({**record, "status": "not deployable", "reason": "wrong", "networks": {}})
    )
    result = run_pack(other, CELL, "--output", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert f"{CELL} seed 1 fp32" in result.stdout
    assert "left out" not in result.stderr


@pytest.mark.parametrize("name", ["measure.py", "prove.py"])
def test_programs_of_a_pack_are_short(pack, name):
    assert len((pack / name).read_text().splitlines()) < 150
