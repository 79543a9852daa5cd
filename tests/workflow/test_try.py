"""`resomap try` from a folder of images to the report and the answer, and its continuation."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.image_files import write_classes

ROOT = Path(__file__).parents[2]
# A few seconds of training: what is tested is the way, not the answer.
SMALL = {
    "explainability": {"enabled": False},
    "system": {
        "profiling": {
            "variants": ["eager"],
            "batch_size": 4,
            "warmup_seconds": 0.01,
            "rounds": 5,
            "round_seconds": 0.01,
        }
    },
}
FLAGS = ["--models", "tiny_cnn", "--resolutions", "16,24", "--seeds", "1", "--epochs", "2"]
Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def try_images(tmp_path_factory) -> Run:
    """Run `resomap try` on 298 images, two damaged ones and their notes."""
    folder = tmp_path_factory.mktemp("try")
    write_classes(folder / "photos", {"cat": 150, "dog": 150}, width=28, height=24)
    for name in ("cat/0007.png", "dog/0008.png"):
        (folder / "photos" / name).write_bytes(b"not an image")
        (folder / "photos" / name).with_suffix(".xml").write_text("<a/>", encoding="utf-8")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    command = [sys.executable, "-c", "from resomap.cli import app; app()", "try", "photos"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TORCH_HOME": str(folder / "none")}

    def run(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*command, "--minutes", "240", *FLAGS, "--configfile", "small.yaml", *words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def test_try_ends_in_an_answer_and_the_same_command_continues(try_images):
    first = try_images()
    assert first.returncode == 0, first.stdout + first.stderr
    for words in ("Damaged: 2 files", "Cost       About ", "Report     ", "Time       "):
        assert words in first.stdout
    # Noise of two classes has nothing to learn.
    assert "Nothing was learned" in first.stdout
    report = next(line for line in first.stdout.splitlines() if line.startswith("Report "))
    assert Path(report.split(maxsplit=1)[1]).is_file()
    again = try_images()
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.startswith("Continues the sweep of resomap.yaml")
    assert "Nothing to be done" in again.stdout + again.stderr
    other = try_images("--margin", "0.05")
    assert other.returncode == 1
    assert "error: resomap.yaml exists: give --force" in other.stderr
