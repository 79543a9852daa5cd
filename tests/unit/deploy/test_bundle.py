import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resomap.analysis.predictions import Cell
from resomap.deploy import measure, predict, prove
from resomap.deploy.bundle import (
    FINGERPRINTS_FILE,
    GoldenImages,
    changed_files,
    choose_golden,
    write_bundle,
)
from resomap.deploy.card import CardFacts, ClassScore, Score, card_text
from resomap.errors import DataError
from resomap.models.registry import build_model
from resomap.shipping.runs import open_run
from resomap.training.checkpoint import load_weights
from tests.optional_packages import require_packages
from tests.small_sweep import CLASSES, MODEL, SEEDS, SIDE, write_sweep

require_packages("onnx", "onnxruntime", "onnxscript")

FACTS = CardFacts(
    cell="tiny_cnn at 24 px",
    seed=0,
    score=Score(0.912, 0.874, 0.941, 90),
    confidence=0.95,
    classes=(ClassScore("fine", 0.72, 30), ClassScore("coarse", 1.0, 30)),
    dataset="folder",
    recipe={"epochs": "8"},
    versions={"torch": "2.11"},
    by_resolution={16: 0.5, 32: 0.9},
    evidence=("fine: evidence off the object in 40 % of the images",),
)
# Imports what the bundle imports, with torch and this package out of reach.
BLOCKER = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "resomap", "pydantic"):
            raise ImportError(f"{name} is not installed on the target")

sys.meta_path.insert(0, Blocked())
sys.argv = sys.argv[1:]
import runpy
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Write a sweep, export its first network by torch, and write the bundle."""
    directory = tmp_path_factory.mktemp("sweep")
    config = write_sweep(directory)
    results = directory / "results"
    cell = Cell("custom", MODEL, SIDE)
    source = open_run(results, config, cell, SIDE)
    export(results, config, directory / "exported.onnx")
    golden = choose_golden(source.labels)
    native = np.array(source.images)[golden]
    described = source.preprocessing
    logits = source.networks[0](described.normalise(described.resize(native)))
    write_bundle(
        directory / "bundle",
        model=directory / "exported.onnx",
        preprocessing=described,
        classes=sorted(CLASSES),
        golden=GoldenImages(native, logits),
        facts=FACTS,
    )
    return directory


def export(results, config, path):
    weights = results / "checkpoints/custom" / MODEL / f"r{SIDE}" / f"seed{SEEDS[0]}"
    state, _ = load_weights(weights / "best.safetensors")
    architecture = next(model for model in config.models if model.name == MODEL)
    model = build_model(architecture, len(CLASSES), SIDE)
    model.load_state_dict(state)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (torch.zeros(2, 3, SIDE, SIDE),),
            path,
            dynamo=True,
            external_data=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )


def run_program(folder, program, *arguments):
    command = [sys.executable, "-c", BLOCKER, str(folder / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_program_without_torch_answers_as_the_sweep(bundle):
    paths = sorted((bundle / "images" / "test").rglob("*.*"))
    result = run_program(bundle / "bundle", "predict.py", *paths)
    assert result.returncode == 0, result.stderr
    answers = dict(line.split("\t")[:2] for line in result.stdout.splitlines())
    assert len(answers) == len(paths) == 90
    run = bundle / "results/runs/custom" / MODEL / f"r{SIDE}/seed{SEEDS[0]}"
    with np.load(run / "predictions.npz") as stored:
        expected = stored[f"logits_r{SIDE}"].argmax(axis=1)
        labels = stored["label"]
    rows = (bundle / "results/data/pictures.csv").read_text().splitlines()
    columns = rows[0].split(",")
    records = [dict(zip(columns, row.split(","), strict=True)) for row in rows[1:]]
    tested = sorted(
        (record for record in records if record["split"] == "test"),
        key=lambda record: int(record["index"]),
    )
    names = sorted(CLASSES)
    for record, answer, label in zip(tested, expected, labels, strict=True):
        name = next(path for path in answers if path.endswith(record["source"]))
        assert answers[name] == names[answer], name
        assert record["source"].split("/")[1] == names[label]


def test_check_proves_golden_images_and_finds_a_wrong_network(bundle, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(bundle / "bundle", folder)
    result = run_program(folder, "predict.py", "--check")
    assert (result.returncode, result.stderr) == (0, "")
    with np.load(folder / "golden.npz") as stored:
        arrays = dict(stored)
    assert len(arrays["native"]) == 8
    spec = json.loads((folder / "preprocessing.json").read_text())
    wrong = {
        "filter": (spec | {"filter": "box"}, "resize"),
        "mean": (spec | {"mean": [0.0, 0.0, 0.0]}, "network"),
    }
    for content, word in wrong.values():
        (folder / "preprocessing.json").write_text(json.dumps(content))
        network = predict.load_network(folder)
        problems = predict.check(network, folder / "golden.npz", content)
        assert [problem.split(":")[0] for problem in problems] == [word]
    assert changed_files(folder) == ["preprocessing.json"]


def test_bad_image_does_not_hide_the_answers_of_others(bundle, capsys, monkeypatch):
    folder = bundle / "bundle"
    good = sorted((bundle / "images" / "test").rglob("*.png"))[0]
    monkeypatch.setattr(predict, "__file__", str(folder / "predict.py"))
    code = predict.main([str(folder / "labels.txt"), str(good), str(folder / "none.png")])
    printed = capsys.readouterr()
    assert code == 1
    assert printed.out.startswith(f"{good}\t")
    assert len(printed.out.splitlines()) == 1
    assert [line.split(":")[1].strip() for line in printed.err.splitlines()] == [
        str(folder / "labels.txt"),
        str(folder / "none.png"),
    ]


def test_bundle_lists_its_files_and_finds_changed_ones(bundle, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(bundle / "bundle", folder)
    assert changed_files(folder) == []
    (folder / "labels.txt").write_text("a\nb\nc")
    (folder / "model.onnx").unlink()
    assert sorted(changed_files(folder)) == ["labels.txt", "model.onnx"]
    (folder / FINGERPRINTS_FILE).unlink()
    assert changed_files(folder) == [FINGERPRINTS_FILE]


def test_bundle_without_model_or_with_other_classes_is_refused(bundle, tmp_path):
    native = np.zeros((2, 8, 8, 3), np.uint8)
    from tests.unit.deploy.test_preprocessing import describe

    options = {"preprocessing": describe(), "facts": FACTS}
    golden = GoldenImages(native, np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="missing"):
        write_bundle(
            tmp_path, model=tmp_path / "no.onnx", classes=CLASSES, golden=golden, **options
        )
    with pytest.raises(DataError, match="2 x 3, expected 2 x 2"):
        write_bundle(
            tmp_path,
            model=bundle / "exported.onnx",
            classes=CLASSES[:2],
            golden=golden,
            **options,
        )


def test_golden_images_are_of_as_many_classes_as_possible():
    labels = np.array([0] * 10 + [1] * 5 + [2])
    assert choose_golden(labels, 3).tolist() == [0, 10, 15]
    assert choose_golden(labels, 5).tolist() == [0, 1, 10, 11, 15]
    assert choose_golden(labels[:2], 8).tolist() == [0, 1]


def test_card_states_accuracy_weak_classes_sizes_and_licence():
    from tests.unit.deploy.test_preprocessing import describe

    text = card_text(FACTS, describe(resolution=24))
    assert "0.912" in text
    assert "0.874" in text
    assert "- fine: 72 % of 30 test images" in text
    assert "coarse: " not in text
    assert "- 16 px: accuracy 0.500, it fails: more than 5 points lower\n" in text
    assert "- 32 px: accuracy 0.900, it holds\n" in text
    assert "majority" not in text
    assert "evidence off the object" in text
    assert "Yours: trained from random weights" in text
    assert "int8" not in text
    other = replace(FACTS, start="IMAGENET1K_V2 of torchvision", evidence=None)
    text = card_text(other, describe())
    assert "IMAGENET1K_V2" in text
    assert "look it up" in text
    assert "Not examined" in text


def test_programs_of_the_bundle_are_short_and_import_little():
    allowed = {"numpy", "PIL", "onnxruntime", "openvino", "prove", *sys.stdlib_module_names}
    for module in (predict, measure, prove):
        source = Path(module.__file__).read_text()
        assert len(source.splitlines()) < 150
        imported = {
            line.split()[1].split(".")[0]
            for line in map(str.strip, source.splitlines())
            if line.startswith(("import ", "from ")) and "in this folder" not in line
        }
        assert imported <= allowed


@pytest.mark.parametrize(("low", "warned"), [(0.333, True), (0.34, False)])
def test_card_of_a_network_that_may_answer_one_class_only_says_so(low, warned):
    from tests.unit.deploy.test_preprocessing import describe

    text = card_text(replace(FACTS, score=Score(0.4, low, 0.5, 90)), describe())
    # Both classes have 30 of 90 test images.
    assert ("always answering that scores 0.333" in text) == warned
