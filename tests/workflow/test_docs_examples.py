"""The example that opens each page of docs/ runs as it is printed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
WITHOUT_EXAMPLE = {
    *("index.md", "LOG.md", "configuration.md"),
    *("gallery.md", "methods.md", "trust.md"),
}
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


def test_every_example_of_the_library_runs(workplace):
    text = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    _, *others = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(others) == 3
    # One process for all, each with variables of its own: PyTorch takes seconds to load.
    program = "\n".join(
        f"exec(compile({each!r}, 'library.md', 'exec'), {{}})" for each in others
    )
    done = run_example("python", program, workplace)
    assert done.returncode == 0, done.stdout + done.stderr


def test_notebook_runs_and_shows_a_value_in_every_cell(workplace):
    # Its cells are plain Python, so that no kernel is needed: nbclient would bring ipykernel.
    notebook = nbformat.read(ROOT / "docs/analyse-a-sweep.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] for cell in cells)
    program = []
    for cell in cells:
        *statements, shown = ast.parse(cell.source).body
        assert isinstance(shown, ast.Expr), cell.source
        program += [*map(ast.unparse, statements), f"print({ast.unparse(shown)})"]
    done = run_example("python", "\n".join(program), workplace)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") > len(cells)
