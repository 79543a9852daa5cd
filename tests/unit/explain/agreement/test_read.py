import csv
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from resomap.config.architecture import Architecture
from resomap.entry import compare_explanations
from resomap.explain.agreement.compare import AGREEMENT_COLUMNS
from resomap.explain.agreement.read import correct_everywhere, read_maps
from resomap.system.files import write_array, write_arrays, write_json
from resomap.workflow.jobs import CompareExplanations

LABELS = np.arange(24) % 4
INDEX = np.arange(4, 16)
MODELS = tuple(
    Architecture(name=name, family="custom", builder=name)
    for name in ("tiny_cnn", "simple_cnn")
)
DIVERGED, MISSING = ("tiny_cnn", 24, 1), ("simple_cnn", 24, 1)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write_predictions(folder: Path, model: str, resolution: int, images: slice) -> None:
    """Write logits that are correct at the run's own resolution, but for two images."""
    logits = np.eye(4, dtype=np.float32)[LABELS]
    logits[5] *= model == "simple_cnn"  # tiny_cnn is wrong
    logits[6, 3] = 2  # wrong among all classes, correct inside the pair (0, 2)
    arrays = {"label": LABELS[images], "index": np.arange(24)[images]}
    for each in (12, 24):
        arrays[f"logits_r{each}"] = (logits if each == resolution else -logits)[images]
    write_arrays(folder / "predictions.npz", **arrays)


def write_maps(folder: Path, resolution: int, seed: int, images: slice) -> None:
    """Write saliency at the input, and Grad-CAM at two blocks."""
    maps = {
        "saliency": {
            "attribution": normal(12, resolution, resolution, seed=seed),
            "layer": np.array("input"),
        },
        "gradcam": {
            "attribution": normal(12, 6, 6, seed=seed),
            "layer": np.array("stages.2"),
            "fixed_attribution": normal(12, resolution // 2, resolution // 2),
            "fixed_layer": np.array("stages.1"),
        },
    }
    for method, arrays in maps.items():
        arrays["index"], arrays["target"] = INDEX, LABELS[INDEX]
        arrays["untrained"] = normal(8, 6, 6, seed=seed)
        kept = {name: array[images] if array.ndim else array for name, array in arrays.items()}
        write_arrays(folder / f"explanations/{method}.npz", **kept)


def write_store(folder: Path) -> None:
    manifest = {
        "native_resolution": 24,
        "classes": list("abcd"),
        "groups": None,
        "pairs": [[0, 2]],
        "frequencies": None,
        "mask": False,
        "aspect": "squash",
        "filter": "bilinear",
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
        "splits": {"test": {"count": 24}},
    }
    write_json(folder / "manifest.json", manifest)
    write_array(folder / "labels_test.npy", LABELS)
    for side in (12, 24):
        images = np.random.default_rng(0).integers(0, 256, (24, side, side, 3), np.uint8)
        write_array(folder / f"r{side}/test.npy", images)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Two models at two resolutions from two seeds, one run diverged and one missing."""
    folder = tmp_path_factory.mktemp("sweep")
    write_store(folder / "data")
    for model, resolution, seed in product(MODELS, (12, 24), (0, 1)):
        key = (model.name, resolution, seed)
        if key != MISSING:
            run = folder / "runs/custom" / model.name / f"r{resolution}" / f"seed{seed}"
            images = slice(0 if key == DIVERGED else None)
            write_predictions(run, model.name, resolution, images)
            write_maps(run, resolution, seed, images)
    return folder


def compare(sweep: Path, runs: str = "runs") -> list[dict[str, str]]:
    """Return the rows of the agreement table of tiny_cnn."""
    job = CompareExplanations(
        code="",
        architecture=MODELS[0],
        models=MODELS,
        resolutions=(12, 24),
        seeds=(0, 1),
        methods=("gradcam", "saliency"),
    )
    path = sweep / "agreement.csv"
    compare_explanations.main(job, sweep / "data/manifest.json", sweep / runs, path)
    with path.open(newline="") as stream:
        reader = csv.DictReader(stream)
        assert tuple(reader.fieldnames) == AGREEMENT_COLUMNS
        return list(reader)


@pytest.mark.parametrize(
    ("folders", "pairs", "wrong"),
    [
        (["tiny_cnn", "simple_cnn"], [(0, 2)], {5}),
        (["tiny_cnn", "simple_cnn"], None, {5, 6}),
        (["simple_cnn"], [(0, 2)], set()),
        (["no_such_model"], None, set(range(24))),
    ],
)
def test_correct_everywhere_needs_every_run(sweep, folders, pairs, wrong):
    paths = [sweep / "runs/custom" / name for name in folders]
    result = correct_everywhere(paths, (12, 24), (0, 1), pairs)
    assert result.tolist() == sorted(set(range(24)) - wrong)


def test_read_maps_returns_every_block(sweep):
    maps = read_maps(sweep / "runs/custom/tiny_cnn", "gradcam", (12, 24), (0, 1))
    assert [(each.block, each.network, len(each.index)) for each in maps] == [
        ("rule", "trained", 12),
        ("fixed", "trained", 12),
        ("fixed", "untrained", 8),
    ]
    seeds = {resolution: sorted(by_seed) for resolution, by_seed in maps[0].maps.items()}
    assert seeds == {12: [0, 1], 24: [0]}


def test_read_maps_of_unused_method_is_empty(sweep):
    assert read_maps(sweep / "runs/custom/tiny_cnn", "occlusion", (12, 24), (0, 1)) == []


def test_agreement_table_holds_every_method_and_baseline(sweep):
    rows = compare(sweep)
    assert {(row["family"], row["model"]) for row in rows} == {("custom", "tiny_cnn")}
    assert {(row["method"], row["block"], row["network"]) for row in rows} == {
        ("gradcam", "rule", "trained"),
        ("gradcam", "fixed", "trained"),
        ("gradcam", "fixed", "untrained"),
        ("saliency", "input", "trained"),
        ("saliency", "input", "untrained"),
        ("centre", "picture", "none"),
        ("edge", "picture", "none"),
        ("random", "picture", "none"),
    }


def test_agreement_table_skips_missing_seed(sweep):
    values = {"method": "saliency", "network": "trained", "population": "right"}
    rows = [row for row in compare(sweep) if values.items() <= row.items()]
    resolutions = {(row["low"], row["high"], row["n"]) for row in rows}
    assert resolutions == {("12", "12", "11"), ("12", "24", "11"), ("24", "24", "11")}
    across = next(row for row in rows if row["low"] != row["high"])
    assert across["observed"] == ""  # seed 1 has no maps at 24 px
    assert -1 < float(across["same_seed"]) < 1


def test_agreement_table_without_runs_is_empty(sweep):
    assert compare(sweep, runs="nowhere") == []
