"""The programs of a bundle in an environment that has numpy, Pillow and ONNX Runtime only."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from resomap.cli import app
from resomap.data.store.store import open_store
from tests.exported_sweep import SMALL_SIDE, write_cascades, write_exported_sweep, write_profile
from tests.optional_packages import build_environment, require_packages
from tests.small_sweep import CLASSES, MODEL, NATIVE, SEEDS, SIDE

require_packages("onnx", "onnxruntime", "onnxscript")

SEED = SEEDS[1]
ABSENT = ("torch", "torchvision", "cv2", "onnx", "pydantic", "resomap")
NAMES = sorted(CLASSES)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    write_exported_sweep(folder, sides=(SMALL_SIDE, SIDE))
    write_profile(folder / "results", (SMALL_SIDE, SIDE))
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment") / "python"
    return build_environment(folder, "numpy", "pillow", "onnxruntime")


@pytest.fixture(scope="module")
def originals(directory):
    """Return the test images as their files, in the order of the predictions."""
    rows = (directory / "results/data/pictures.csv").read_text().splitlines()
    columns = rows[0].split(",")
    records = [dict(zip(columns, row.split(","), strict=True)) for row in rows[1:]]
    tested = [record for record in records if record["split"] == "test"]
    tested.sort(key=lambda record: int(record["index"]))
    return [directory / "images" / record["source"] for record in tested]


@pytest.fixture(scope="module")
def stored(directory, tmp_path_factory):
    """Return the test images as they are stored, each as a PNG."""
    folder = tmp_path_factory.mktemp("stored")
    store = open_store(directory / "results/data/manifest.json")
    paths = []
    for row, pixels in enumerate(store.native_images()[store.rows("test")]):
        assert pixels.shape == (NATIVE, NATIVE, 3)
        paths.append(folder / f"{row:04d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def run_ship(directory, folder, *arguments):
    options = ["--directory", str(directory), "--output", str(folder), "--seed", str(SEED)]
    result = CliRunner().invoke(app, ["ship", *arguments, *options])
    assert result.exit_code == 0, result.output
    return folder


def run_program(python, program, *arguments):
    # Without variables that would lead to the packages of this environment.
    command = [str(python), "-E", "-s", str(program), *map(str, arguments)]
    # Not in the repository, whose packages Python would find in its working directory.
    here = python.parent
    return subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)


def answers_of(python, program, paths):
    """Return the columns behind the file of each line, and check that no file is missing."""
    result = run_program(python, program, *paths)
    assert result.returncode == 0, result.stderr
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in lines] == list(map(str, paths))
    return [line[1:] for line in lines]


def expected_answers(directory, side, name=None):
    run = Path("custom", MODEL, f"r{side}", f"seed{SEED}")
    path = directory / "results/runs" / run / "predictions.npz"
    if name:
        path = directory / "results/deploy" / run / f"at{side}" / "logits.npz"
    with np.load(path) as arrays:
        return [NAMES[label] for label in arrays[name or f"logits_r{side}"].argmax(axis=1)]


def test_environment_has_nothing_of_the_training(python):
    program = f"from importlib.util import find_spec; print(*filter(find_spec, {ABSENT}))"
    found = run_program(python, "-c", program)
    assert (found.returncode, found.stdout.strip()) == (0, "")
    imported = run_program(python, "-c", "import torch")
    assert "No module named 'torch'" in imported.stderr


def test_test_images_are_files_of_every_kind(originals):
    kinds = set()
    for path in originals:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) != 1
            kinds.add((path.suffix, image.mode, turned))
    modes = {mode for _, mode, _ in kinds}
    assert {"RGB", "RGBA", "L", "I;16"} <= modes
    assert {suffix for suffix, _, _ in kinds} == {".png", ".jpg"}
    assert {turned for _, _, turned in kinds} == {False, True}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_all_test_images_are_answered_as_by_the_sweep(
    directory, python, originals, stored, tmp_path, precision
):
    cell = f"{MODEL}@{SIDE}"
    folder = run_ship(directory, tmp_path / "bundle", cell, "--precision", precision)
    checked = run_program(python, folder / "predict.py", "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    name = None if precision == "fp32" else precision
    expected = expected_answers(directory, SIDE, name)
    assert len(expected) == 90
    assert len(set(expected)) == 3
    for paths in (originals, stored):
        answers = answers_of(python, folder / "predict.py", paths)
        assert [label for label, _ in answers] == expected


def test_cascade_answers_all_test_images_as_that_of_the_sweep(
    directory, python, originals, stored, tmp_path
):
    write_cascades(directory / "results")
    stages = f"{MODEL}@{SMALL_SIDE} > {MODEL}@{SIDE}"
    folder = run_ship(directory, tmp_path / "bundle", stages, "--cascade")
    checked = run_program(python, folder / "cascade.py", "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    threshold = json.loads((folder / "cascade.json").read_text())["stages"][0]["threshold"]
    small, large = (expected_answers(directory, side) for side in (SMALL_SIDE, SIDE))
    path = directory / f"results/runs/custom/{MODEL}/r{SMALL_SIDE}/seed{SEED}/predictions.npz"
    with np.load(path) as arrays:
        logits = arrays[f"logits_r{SMALL_SIDE}"].astype(float)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    forwarded = 1 / shifted.sum(axis=1) < threshold
    assert 0 < forwarded.sum() < len(forwarded)
    expected = [
        (large[row], "2") if passed else (small[row], "1")
        for row, passed in enumerate(forwarded)
    ]
    for paths in (originals, stored):
        answers = answers_of(python, folder / "cascade.py", paths)
        assert [(label, number) for label, _, number in answers] == expected
