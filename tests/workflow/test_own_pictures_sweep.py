"""A user's own folder through the whole workflow: real scans of digits, and what a change of the folder reruns."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.image_files import noise, save, write_classes, write_digits
from tests.workflow.conftest import Checkout

ENDS = {"aggregate_tables": 1, "plot_figures": 1, "build_report": 1}
EVERYTHING = {
    "identify_data": 1, "prepare_data": 1, "resize_data": 2, "profile_model": 1, "summarise_models": 1, "train_run": 2, "evaluate_run": 2, "explain_run": 2, "compare_explanations": 1, **ENDS,
}  # fmt: skip


def overlay(pictures: Path, **data) -> dict:
    return {
        "data": {"dataset": "folder", "path": str(pictures), "native_resolution": None, **data},
        "sweep": {"resolutions": [8, 16]},
        "training": {"epochs": 8, "schedule": {"warmup_epochs": 1.0}},
    }


@pytest.fixture(scope="module")
def digits(copy, tmp_path_factory) -> Checkout:
    folder = tmp_path_factory.mktemp("digits")
    checkout = copy(folder / "resomap")
    write_digits(folder / "pictures")
    run = checkout.snakemake(overlay=overlay(folder / "pictures"))
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout


@pytest.fixture
def scanned(digits, tmp_path) -> tuple[Checkout, dict]:
    """A copy of the finished sweep and of its pictures, times kept; the pictures stay where the sweep found them."""
    shutil.copytree(
        digits.path, tmp_path / "resomap", copy_function=shutil.copy2, symlinks=True
    )
    pictures = digits.path.parent / "pictures"
    kept = tmp_path / "kept"
    shutil.copytree(pictures, kept, copy_function=shutil.copy2)
    yield Checkout(tmp_path / "resomap"), overlay(pictures)
    shutil.rmtree(pictures)
    shutil.copytree(kept, pictures, copy_function=shutil.copy2)


def test_real_scans_are_classified_well_and_the_report_says_what_they_are(digits):
    cells = pd.read_csv(digits.path / "results/tables/cells.csv")
    assert (cells["accuracy"] > 0.94).all()
    manifest = json.loads((digits.path / "results/data/manifest.json").read_text())
    assert (manifest["native_resolution"], manifest["bad"], len(manifest["classes"])) == (
        8,
        0,
        10,
    )
    assert sum(split["count"] for split in manifest["splits"].values()) == 1797
    page = (digits.path / "results/report/index.html").read_text(encoding="utf-8")
    for said in (
        "Information ends at 8 px",
        "1,797 images",
        'id="information_by_resolution"',
        'id="contact_sheet"',
        'id="class_balance"',
    ):
        assert said in page, said


def test_an_untouched_folder_has_nothing_to_do(scanned):
    checkout, same = scanned
    assert checkout.planned(same) == {}


@pytest.mark.parametrize("change", ["added", "removed", "replaced", "moved to another class"])
def test_a_picture_that_is_changed_reruns_what_it_must_in_one_invocation(scanned, change):
    checkout, same = scanned
    pictures = Path(same["data"]["path"])
    one = pictures / "3" / "0003.png"
    if change == "added":
        save(pictures / "3" / "new.png", noise(1, width=8, height=8))
    elif change == "removed":
        one.unlink()
    elif change == "replaced":
        save(one, noise(2, width=8, height=8))
    else:
        one.rename(pictures / "5" / "0003.png")
    assert checkout.planned(same) == EVERYTHING


def test_a_listing_is_part_of_the_identity_but_not_the_folders_own_time(scanned):
    checkout, same = scanned
    os.utime(same["data"]["path"])
    (Path(same["data"]["path"]) / "README.txt").write_text("mine")
    assert checkout.planned(same) == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: write_classes(folder, {"cat": 40}), "holds one class (cat)"),
        (
            lambda folder: write_classes(folder, {"cat": 9, "dog": 9}),
            "training.batch_size: 32 are more than the 11 training pictures of 18",
        ),
    ],
)
def test_pictures_that_cannot_be_trained_on_stop_the_dry_run_in_one_readable_line(
    checkout, tmp_path, make, said
):
    make(tmp_path / "pictures")
    dry = checkout.snakemake("-n", overlay=overlay(tmp_path / "pictures"))
    assert dry.returncode != 0
    assert said in dry.stdout + dry.stderr
    assert "Traceback" not in dry.stdout + dry.stderr


def test_every_bad_picture_is_named_in_the_log_of_one_run(checkout, tmp_path):
    write_classes(tmp_path / "pictures", {"cat": 30, "dog": 30})
    for name in ("cat/a.png", "dog/b.png"):
        (tmp_path / "pictures" / name).write_bytes(b"x")
    run = checkout.snakemake(
        "results/data/manifest.json", overlay=overlay(tmp_path / "pictures")
    )
    assert run.returncode != 0
    log = (checkout.path / "logs/data/prepare.log").read_text()
    assert "cat/a.png: not an image" in log
    assert "dog/b.png: not an image" in log
    assert "Traceback" not in log
