import csv
from pathlib import Path

import numpy as np
import pytest

from resomap.config.schema import Architecture
from resomap.entry import compare_explanations
from resomap.explain.agreement.compare import AGREEMENT_COLUMNS
from resomap.explain.agreement.read import correct_everywhere, read_maps
from resomap.system.files import write_array, write_arrays, write_json
from resomap.workflow.jobs import CompareExplanations

LABELS = np.arange(24) % 4
MODELS = tuple(
    Architecture(name=name, family="custom", builder=name, min_resolution=8)
    for name in ("tiny_cnn", "simple_cnn")
)


INDEX = np.arange(4, 16)
WITHOUT = {("tiny_cnn", 24, 1): "no answers", ("simple_cnn", 24, 1): "no files"}


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write_answers(folder: Path, model: str, resolution: int, pictures: slice) -> None:
    """Right everywhere at the run's own resolution and wrong at the other, but for two pictures."""
    logits = np.eye(4, dtype=np.float32)[LABELS]
    logits[5] *= model == "simple_cnn"  # tiny_cnn has no right answer
    logits[6, 3] = 2  # wrong among all classes, right inside its pair (0, 2)
    answers = {
        f"logits_r{each}": (logits if each == resolution else -logits)[pictures]
        for each in (12, 24)
    }
    write_arrays(
        folder / "predictions.npz",
        label=LABELS[pictures],
        index=np.arange(24)[pictures],
        **answers,
    )


def write_maps(folder: Path, resolution: int, seed: int, pictures: slice) -> None:
    """Saliency at the input; Grad-CAM at a block of 6 cells, and at one of half the resolution's."""
    maps = {
        "saliency": {
            "attribution": drawn(12, resolution, resolution, seed=seed),
            "layer": np.array("input"),
        },
        "gradcam": {"attribution": drawn(12, 6, 6, seed=seed), "layer": np.array("stages.2")},
    }
    maps["gradcam"] |= {
        "fixed_attribution": drawn(12, resolution // 2, resolution // 2),
        "fixed_layer": np.array("stages.1"),
    }
    for method, arrays in maps.items():
        arrays |= {
            "index": INDEX,
            "target": LABELS[INDEX],
            "untrained": drawn(8, 6, 6, seed=seed),
        }
        held = {
            name: array[pictures] if array.ndim else array for name, array in arrays.items()
        }
        write_arrays(folder / f"explanations/{method}.npz", **held)


def write_store(folder: Path) -> None:
    told = {
        "native_resolution": 24,
        "classes": list("abcd"),
        "groups": None,
        "pairs": [[0, 2]],
        "frequencies": None,
        "mask": False,
    }
    told |= {"aspect": "squash", "filter": "bilinear", "mean": [0, 0, 0], "std": [1, 1, 1]}
    write_json(folder / "manifest.json", told | {"splits": {"test": {"count": 24}}})
    write_array(folder / "labels_test.npy", LABELS)
    for resolution in (12, 24):
        pictures = np.random.default_rng(0).integers(
            0, 256, (24, resolution, resolution, 3), np.uint8
        )
        write_array(folder / f"r{resolution}/test.npy", pictures)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Two networks at 12 and 24 px from two seeds: one run of tiny_cnn diverged, one of simple_cnn is not there yet."""
    folder = tmp_path_factory.mktemp("sweep")
    write_store(folder / "data")
    for model, resolution, seed in (
        (model.name, resolution, seed)
        for model in MODELS
        for resolution in (12, 24)
        for seed in (0, 1)
    ):
        without = WITHOUT.get((model, resolution, seed))
        run = folder / "runs" / "custom" / model / f"r{resolution}" / f"seed{seed}"
        if without != "no files":
            write_answers(run, model, resolution, slice(0 if without else None))
            write_maps(run, resolution, seed, slice(0 if without else None))
    return folder


def table(sweep: Path, architecture: Architecture, runs: str = "runs") -> list[dict[str, str]]:
    job = CompareExplanations(
        code="",
        architecture=architecture,
        models=MODELS,
        resolutions=(12, 24),
        seeds=(0, 1),
        methods=("gradcam", "saliency"),
    )
    compare_explanations.main(
        job, sweep / "data/manifest.json", sweep / runs, sweep / "agreement.csv"
    )
    with (sweep / "agreement.csv").open(newline="") as stream:
        reader = csv.DictReader(stream)
        assert tuple(reader.fieldnames) == AGREEMENT_COLUMNS
        return list(reader)


def test_a_picture_is_right_where_every_run_with_answers_has_it_right_at_its_own_resolution(
    sweep,
):
    folders = [sweep / "runs/custom" / model.name for model in MODELS]
    assert correct_everywhere(folders, (12, 24), (0, 1), [(0, 2)]).tolist() == [
        *range(5),
        *range(6, 24),
    ]
    assert correct_everywhere(folders, (12, 24), (0, 1), None).tolist() == [
        *range(5),
        *range(7, 24),
    ]
    assert correct_everywhere(folders[1:], (12, 24), (0, 1), [(0, 2)]).tolist() == list(
        range(24)
    )
    assert correct_everywhere([sweep], (12, 24), (0, 1), None).tolist() == []


def test_maps_are_read_with_the_block_and_the_pictures_that_they_are_of(sweep):
    found = read_maps(sweep / "runs/custom/tiny_cnn", "gradcam", (12, 24), (0, 1))
    assert [(maps.block, maps.network, len(maps.index)) for maps in found] == [
        ("rule", "trained", 12),
        ("fixed", "trained", 12),
        ("fixed", "untrained", 8),
    ]
    assert {resolution: sorted(by_seed) for resolution, by_seed in found[0].maps.items()} == {
        12: [0, 1],
        24: [0],
    }
    assert read_maps(sweep / "runs/custom/tiny_cnn", "occlusion", (12, 24), (0, 1)) == []


def test_the_table_of_a_network_holds_what_there_is(sweep):
    told = table(sweep, MODELS[0])
    assert {(line["family"], line["model"]) for line in told} == {("custom", "tiny_cnn")}
    assert {(line["method"], line["block"], line["network"]) for line in told} == {
        *(("gradcam", block, "trained") for block in ("rule", "fixed")),
        *(
            ("gradcam", "fixed", "untrained"),
            ("saliency", "input", "trained"),
            ("saliency", "input", "untrained"),
        ),
        *((name, "picture", "none") for name in ("centre", "edge", "random")),
    }
    ours = [
        line
        for line in told
        if (line["method"], line["network"], line["population"])
        == ("saliency", "trained", "right")
    ]
    assert {(line["low"], line["high"], line["n"]) for line in ours} == {
        ("12", "12", "11"),
        ("12", "24", "11"),
        ("24", "24", "11"),
    }
    across = next(line for line in ours if line["low"] != line["high"])
    assert across["observed"] == ""  # seed 1 has no maps at 24 px
    assert -1 < float(across["same_seed"]) < 1


def test_the_table_of_a_network_without_runs_is_empty(sweep):
    assert table(sweep, MODELS[0], runs="nowhere") == []
