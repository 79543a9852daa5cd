"""A user's image folder through the whole workflow: real scans of digits, and edits of the folder."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.image_files import noise, save, write_classes, write_digits
from tests.workflow.conftest import Checkout
from tests.workflow.test_reruns import PREPARE, RETRAIN


def folder_overlay(images: Path, **data) -> dict:
    return {
        "data": {"dataset": "folder", "path": str(images), "native_resolution": None, **data},
        "sweep": {"resolutions": [8, 16]},
        "training": {"epochs": 8, "schedule": {"warmup_epochs": 1.0}},
    }


@pytest.fixture(scope="module")
def digits(copy_to, tmp_path_factory) -> Checkout:
    folder = tmp_path_factory.mktemp("digits")
    checkout = copy_to(folder / "resomap")
    write_digits(folder / "images")
    run = checkout.snakemake(overlay=folder_overlay(folder / "images"))
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout


@pytest.fixture
def digits_copy(digits, tmp_path) -> Iterator[tuple[Checkout, dict]]:
    """A copy of the finished sweep, with its overlay; its images are restored afterwards.

    The images themselves stay in place, as their path is part of the identity of the data.
    """
    images, backup = digits.path.parent / "images", tmp_path / "backup"
    for source, target in ((digits.path, tmp_path / "resomap"), (images, backup)):
        shutil.copytree(source, target, copy_function=shutil.copy2, symlinks=True)
    yield Checkout(tmp_path / "resomap"), folder_overlay(images)
    shutil.rmtree(images)
    shutil.copytree(backup, images, copy_function=shutil.copy2)


def test_digits_are_classified_and_reported(digits):
    cells = pd.read_csv(digits.path / "results/tables/cells.csv")
    assert (cells["accuracy"] > 0.94).all()
    manifest = json.loads((digits.path / "results/data/manifest.json").read_text())
    assert (manifest["native_resolution"], manifest["bad"]) == (8, 0)
    assert len(manifest["classes"]) == 10
    assert sum(split["count"] for split in manifest["splits"].values()) == 1797
    page = (digits.path / "results/report/index.html").read_text(encoding="utf-8")
    for figure in ("information_by_resolution", "contact_sheet", "class_balance"):
        assert f'id="{figure}"' in page
    assert "1,797 images" in page


def test_unchanged_folder_reruns_nothing(digits_copy):
    checkout, overlay = digits_copy
    assert checkout.planned_jobs(overlay) == {}


@pytest.mark.parametrize("change", ["added", "removed", "replaced", "moved to another class"])
def test_changed_image_reruns_everything_at_once(digits_copy, change):
    checkout, overlay = digits_copy
    images = Path(overlay["data"]["path"])
    image = images / "3" / "0003.png"
    if change == "added":
        save(images / "3" / "new.png", noise(1, width=8, height=8))
    elif change == "removed":
        image.unlink()
    elif change == "replaced":
        save(image, noise(2, width=8, height=8))
    else:
        image.rename(images / "5" / "0003.png")
    assert checkout.planned_jobs(overlay) == PREPARE | RETRAIN


def test_other_files_in_the_folder_rerun_nothing(digits_copy):
    checkout, overlay = digits_copy
    os.utime(overlay["data"]["path"])
    (Path(overlay["data"]["path"]) / "README.txt").write_text("mine")
    assert checkout.planned_jobs(overlay) == {}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, "there is no folder"),
        ({"cat": 40}, "one class (cat)"),
        ({"cat": 9, "dog": 9}, "training.batch_size: 32 is more than the 11 training images"),
    ],
)
def test_unusable_folder_stops_the_dry_run(checkout, tmp_path, classes, message):
    if classes:
        write_classes(tmp_path / "images", classes)
    dry = checkout.dry_run(overlay=folder_overlay(tmp_path / "images"))
    assert dry.returncode != 0
    assert message in dry.stdout + dry.stderr
    assert "Traceback" not in dry.stdout + dry.stderr


def test_every_unreadable_image_is_named_in_the_log(checkout, tmp_path):
    images = tmp_path / "images"
    write_classes(images, {"cat": 30, "dog": 30})
    for name in ("cat/a.png", "dog/b.png"):
        (images / name).write_bytes(b"x")
    target = "results/data/manifest.json"
    run = checkout.snakemake(target, overlay=folder_overlay(images))
    assert run.returncode != 0
    log = (checkout.path / "logs/data/prepare.log").read_text()
    assert "cat/a.png: not an image" in log
    assert "dog/b.png: not an image" in log
    assert "Traceback" not in log
