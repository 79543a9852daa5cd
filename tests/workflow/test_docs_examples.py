"""The example that opens each page of docs/ runs as it is printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
WITHOUT_EXAMPLE = {"index.md", "LOG.md"}
PAGES = sorted(
    page for page in (ROOT / "docs").glob("*.md") if page.name not in WITHOUT_EXAMPLE
)
FIRST_BLOCK = re.compile(
    r"\A# [^\n]+\n+(?:[^`\n][^\n]*\n+)*```(bash|python)\n(.*?)^```", re.M | re.S
)
TIMEOUT_SECONDS = 300


@pytest.fixture(scope="module")
def workplace(finished, tmp_path_factory) -> Path:
    """A finished smoke sweep beside a folder of photographs, as a reader of the pages has it."""
    place = tmp_path_factory.mktemp("docs") / "resomap"
    shutil.copytree(finished.path, place, copy_function=shutil.copy2)
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        folder = place / "photos" / name
        folder.mkdir(parents=True)
        for number in range(16):
            pixels = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return place


def run_example(language: str, code: str, folder: Path) -> subprocess.CompletedProcess:
    bin_folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]])}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euc", code]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_first_example_of_page_runs(page, workplace):
    opening = FIRST_BLOCK.match(page.read_text(encoding="utf-8"))
    assert opening, f"docs/{page.name} does not open with a bash or python example"
    done = run_example(*opening.groups(), workplace)
    assert done.returncode == 0, done.stdout + done.stderr
