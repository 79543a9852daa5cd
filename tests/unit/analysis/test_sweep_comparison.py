"""Two sweeps compared on the same test images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resomap.analysis.predictions import Cell, Predictions
from resomap.analysis.sweep_comparison import RecordedRuns, compare_sweeps
from resomap.config.load import build_config
from resomap.config.schema import Config
from resomap.errors import DataError

IMAGES = 500
CONFIG = build_config({})


def runs(
    accuracies: dict[int, float],
    *,
    config: Config = CONFIG,
    seeds: tuple[int, ...] = (0, 1, 2),
    environment: dict[str, list[Any]] | None = None,
) -> RecordedRuns:
    """Build a sweep of one model, whose networks get the first images right."""
    test = {}
    for resolution, accuracy in accuracies.items():
        cell, rows = Cell("custom", "net", resolution), []
        for seed in seeds:
            rng = np.random.default_rng([seed, resolution])
            right = np.arange(IMAGES) < round(accuracy * IMAGES)
            rows.append(right ^ (rng.random(IMAGES) < 0.02))
        correct = np.stack(rows)
        no_pairs = np.full(correct.shape, np.nan)
        test[cell] = Predictions(
            cell, seeds, np.arange(IMAGES) % 10, {resolution: correct}, no_pairs
        )
    images = [
        (f"class{index % 10}", f"{index:016x}", f"{index}.jpg") for index in range(IMAGES)
    ]
    classes = [f"class{index}" for index in range(10)]
    return RecordedRuns(Path("one"), config, environment or {}, classes, images, test)


def test_difference_is_second_minus_first_and_shown_when_large() -> None:
    record = compare_sweeps(runs({24: 0.7, 48: 0.8}), runs({24: 0.7, 48: 0.9}), 0.95)
    same, better = record["cells"]
    assert same["difference"]["mean"] == 0
    assert not same["shown"]
    assert better["difference"]["mean"] == pytest.approx(0.1, abs=0.005)
    assert better["shown"]
    assert better["difference"]["low"] > 0
    assert record["overall"]["mean"] == pytest.approx(0.05, abs=0.003)


def test_mean_over_cells_of_one_seed_lies_in_its_interval() -> None:
    first, second = (runs({24: 0.7, 48: accuracy}, seeds=(0,)) for accuracy in (0.7, 0.9))
    overall = compare_sweeps(first, second, 0.95)["overall"]
    assert overall["mean"] == pytest.approx(0.1, abs=0.01)
    assert overall["low"] < overall["mean"] < overall["high"]
    # A fifth of the images gains a half: sd .2 over 500 images.
    assert overall["high"] - overall["low"] == pytest.approx(4 * 0.2 / 500**0.5, rel=0.15)


def test_only_common_seeds_and_cells_are_compared() -> None:
    second = runs({48: 0.8, 96: 0.9}, seeds=(1, 2, 3))
    record = compare_sweeps(runs({24: 0.7, 48: 0.8}), second, 0.95)
    assert [(one["resolution"], one["n_seeds"]) for one in record["cells"]] == [(48, 2)]
    assert [one["resolution"] for one in record["unmatched"]] == [24, 96]


def test_sweeps_without_a_common_seed_have_no_cells() -> None:
    record = compare_sweeps(runs({24: 0.7}), runs({24: 0.7}, seeds=(7,)), 0.95)
    assert (record["cells"], record["overall"]) == ([], None)


def test_keys_and_environments_that_differ_are_listed() -> None:
    other = build_config(
        {"training": {"epochs": 3}, "report": {"margin": 0.05}, "experiment": {"name": "Other"}}
    )
    second = runs({24: 0.7}, config=other, environment={"torch": ["2.11"], "device": ["cpu"]})
    first = runs({24: 0.7}, environment={"torch": ["2.10"], "device": ["cpu"]})
    record = compare_sweeps(first, second, 0.95)
    assert [entry["key"] for entry in record["configuration"]] == ["training.epochs"]
    assert record["environment"] == [{"key": "torch", "values": [["2.10"], ["2.11"]]}]


def test_section_that_one_sweep_has_is_one_entry() -> None:
    crop = {"scale": [0.5, 1.0], "ratio": [1.0, 1.0], "crop_from": "resized"}
    start = {"file": "net.pth", "rename": {"^module.": ""}}
    training = {"augmentation": {"random_resized_crop": crop}, "start": start}
    second = runs({24: 0.7}, config=build_config({"training": training}))
    found = compare_sweeps(runs({24: 0.7}), second, 0.95)["configuration"]
    values = {entry["key"]: entry["values"] for entry in found}
    assert set(values) == {"training.start", "training.augmentation.random_resized_crop"}
    assert values["training.augmentation.random_resized_crop"] == [None, crop]
    assert values["training.start"][0] == "random"
    assert values["training.start"][1]["file"] == "net.pth"


def test_grid_and_models_of_one_sweep_are_no_settings_of_a_cell() -> None:
    grids = [
        {"sweep": {"models": ["tiny_cnn", model], "seeds": [0, number]}}
        for number, model in ((1, "simple_cnn"), (2, "resnet18"))
    ]
    first, second = (runs({24: 0.7}, config=build_config(grid)) for grid in grids)
    assert compare_sweeps(first, second, 0.95)["configuration"] == []


def test_other_training_images_are_recorded() -> None:
    first = runs({24: 0.7})
    assert compare_sweeps(first, first, 0.95)["same_training_images"]
    second = replace(first, other_images=frozenset({("train", "class0", "f" * 16)}))
    assert not compare_sweeps(first, second, 0.95)["same_training_images"]


def test_equal_sweeps_differ_nowhere() -> None:
    record = compare_sweeps(runs({24: 0.7, 48: 0.8}), runs({24: 0.7, 48: 0.8}), 0.95)
    assert not any(one["shown"] for one in record["cells"])
    assert record["configuration"] == record["environment"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [("class0", "0" * 16, "0.jpg")]}, "1 test image, not 500 test images"),
        ({"classes": ["other"]}, "other classes"),
    ],
)
def test_other_test_images_are_refused(changes: dict[str, Any], message: str) -> None:
    second = replace(runs({24: 0.7}), directory=Path("two"), **changes)
    with pytest.raises(DataError, match=message) as refusal:
        compare_sweeps(runs({24: 0.7}), second, 0.95)
    assert str(refusal.value).startswith(
        "two/results/data/pictures.csv: not the test images of one"
    )


def test_first_image_that_differs_is_named() -> None:
    first = runs({24: 0.7})
    images = list(first.images)
    images[7] = ("class7", "f" * 16, "other.jpg")
    with pytest.raises(DataError, match=r"1 of 500 test images differ, the first is other.jpg"):
        compare_sweeps(first, replace(first, images=images), 0.95)
