"""A stranger installs the wheel and goes from images to the report and the answer."""

import os
import subprocess
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from resomap.report.text.answer import INDENT
from tests.ten_minutes_page import LABELS, draw_images, shown_output

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
TRY = ["try", "tiles", "--minutes", "240", *FLAGS, "--configfile", "small.yaml"]
Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """The command `resomap` of a new environment with the wheel.

    Its other packages are those of this environment, which takes no minutes of downloads;
    `make release` installs them as well.
    """
    folder = tmp_path_factory.mktemp("stranger")
    venv.create(folder, with_pip=True, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "others.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    wheel = next(built.glob("*.whl"))
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    return folder / "bin" / "resomap"


@pytest.fixture(scope="module")
def resomap(installed, tmp_path_factory) -> Run:
    """Run the command in a folder with the images of the page and nothing else."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        draw_images()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [installed, *words],
            cwd=folder,
            env=environment | {"TORCH_HOME": str(folder / "none"), "COLUMNS": "88"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def tried(resomap) -> subprocess.CompletedProcess:
    return resomap(*TRY)


def labels(lines: list[str]) -> set[str]:
    """Return what opens the lines that have a label."""
    return {line[:INDENT].strip() for line in lines if line[INDENT - 1 : INDENT] == " "}


def test_stranger_gets_from_the_wheel_to_the_answer(resomap, tried):
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "Traceback" not in tried.stdout + tried.stderr
    looked, _, answered = tried.stdout.partition("Written    resomap.yaml\n")
    page = shown_output("resomap try tiles")
    # How the images were understood, word for word.
    assert looked.splitlines()[:5] == page[:5]
    assert {"Cost", "Seeds", "Training"} <= labels(looked.splitlines()) <= LABELS
    report = next(line for line in answered.splitlines() if line.startswith("Report "))
    assert Path(report.split(maxsplit=1)[1]).is_file()
    assert answered.splitlines()[-1].startswith("Time ")
    # The chosen cell is the same in both answers.
    chosen = resomap("choose")
    assert chosen.returncode in (0, 3), chosen.stderr
    assert " ".join(chosen.stdout.split())[:60] in " ".join(answered.split())


@pytest.mark.usefixtures("tried")
def test_same_command_continues_and_another_is_refused(resomap):
    again = resomap(*TRY)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.startswith("Continues the sweep of resomap.yaml")
    assert "Nothing to be done" in again.stdout + again.stderr
    other = resomap(*TRY, "--margin", "0.05")
    assert other.returncode == 1
    assert "error: resomap.yaml exists: give --force" in other.stderr
    assert resomap("run", "-n").returncode == 0
