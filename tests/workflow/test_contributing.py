"""The recipes of CONTRIBUTING.md, applied as they stand there, work in one small sweep."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.workflow.conftest import ROOT, Checkout

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
LONGEST_PAGE = 700
"""Words, those of the code included."""
RECIPES = [
    "A model",
    "An attribution method",
    "A metric",
    "A table column",
    "A figure",
    "A constraint",
]
GENERATED = (
    *("config/README.md", "config/schema.json", "docs/", "report/"),
    *("resomap/models/models.yaml", "mine.yaml"),
)
"""What the commands of the page make, and the overlay of this test."""
OVERLAY = {
    "sweep": {"models": ["two_stages"], "resolutions": [16], "seeds": [0]},
    "explainability": {"methods": ["input_x_gradient"]},
}
RUN = "results/runs/custom/two_stages/r16/seed0"


@dataclass(frozen=True)
class Block:
    """Lines that a recipe adds to `file`, at the end or before or after a line of it."""

    file: str
    place: str
    text: str

    def apply(self, folder: Path) -> None:
        """Add the lines to the file in `folder`."""
        path = folder / self.file
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(self._added_to(lines)), encoding="utf-8")

    def _added_to(self, lines: list[str]) -> list[str]:
        if self.place == "at the end":
            return [*lines, self.text]
        side, _, anchor = self.place.partition(" ")
        starts = [
            number for number, line in enumerate(lines) if line.strip().startswith(anchor)
        ]
        assert len(starts) == 1, f"{self.file} has {len(starts)} lines that start with {anchor}"
        index = starts[0] + {"before": 0, "after": 1}[side]
        return [*lines[:index], self.text, *lines[index:]]


def read_recipes() -> dict[str, list[Block]]:
    """Return the blocks of every recipe on the page, by its heading."""
    section = PAGE.partition("## Recipes")[2].partition("\n## ")[0]
    _, *parts = re.split(r"^\*\*(.+?)\.\*\*", section, flags=re.MULTILINE)
    recipes = {}
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        found = re.findall(
            r"^```\w+\n# (\S+): ([^\n]+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL
        )
        recipes[heading] = [Block(*groups) for groups in found]
    return recipes


def run_page_commands(folder: Path) -> None:
    """Run the commands of the page, which make the generated pages and format the code."""
    (commands,) = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder)}
    subprocess.run(["bash", "-ec", commands], cwd=folder, env=environment, check=True)


@pytest.fixture(scope="module")
def swept(copy_to, tmp_path_factory) -> Checkout:
    """A checkout with all recipes and the results of one run."""
    checkout = copy_to(tmp_path_factory.mktemp("contributing") / "resomap")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "before"]):
        subprocess.run([*git, *words], cwd=checkout.path, check=True)
    for blocks in read_recipes().values():
        for block in blocks:
            block.apply(checkout.path)
    run_page_commands(checkout.path)
    run = checkout.snakemake(overlay=OVERLAY)
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout


def read_run(swept: Checkout) -> pd.Series:
    (row,) = pd.read_csv(swept.path / "results/tables/runs.csv").to_dict("records")
    return row


def documented_columns(swept: Checkout, table: str) -> set[str]:
    """Return the columns that docs/tables.md lists for `table`."""
    page = (swept.path / "docs/tables.md").read_text(encoding="utf-8")
    section = page.partition(f"## tables/{table}.csv\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))


def test_page_is_short_and_has_every_recipe():
    assert len(PAGE.split()) <= LONGEST_PAGE
    assert list(read_recipes()) == RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_changes_at_most_three_files(recipe):
    files = {block.file for block in read_recipes()[recipe]}
    assert 1 <= len(files) <= 3


def test_code_of_recipes_passes_the_linter(swept):
    ruff = [sys.executable, "-m", "ruff", "check", "resomap"]
    checked = subprocess.run(ruff, cwd=swept.path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_model_is_trained_and_listed(swept):
    row = read_run(swept)
    assert (row["model"], row["status"]) == ("two_stages", "ok")
    assert (swept.path / "results/model_summaries/two_stages/r16/summary.json").exists()
    assert "`two_stages`" in (swept.path / "config/README.md").read_text(encoding="utf-8")


def test_method_has_maps_and_rows(swept):
    maps = np.load(swept.path / RUN / "explanations/input_x_gradient.npz")
    assert any(np.abs(maps[name]).max() > 0 for name in maps.files)
    rows = pd.read_csv(swept.path / "results/tables/explanations.csv")
    assert rows.loc[rows["method"] == "input_x_gradient", "relevance_mass"].notna().all()
    assert "input_x_gradient" in (swept.path / "config/README.md").read_text(encoding="utf-8")


def test_metric_equals_that_of_the_predictions(swept):
    stored = np.load(swept.path / RUN / "predictions.npz")
    logits, label = stored["logits_r16"], stored["label"]
    of_label = np.take_along_axis(logits, label[:, None], axis=1)
    expected = ((logits > of_label).sum(axis=1) < 2).mean()
    assert read_run(swept)["top2_accuracy"] == pytest.approx(expected)
    assert {"accuracy", "top2_accuracy"} <= documented_columns(swept, "evaluation")


def test_column_is_filled_and_documented(swept):
    assert read_run(swept)["n_val"] == 32
    assert "n_val" in documented_columns(swept, "runs")


def test_figure_is_drawn_and_in_the_report(swept):
    for kind in ("svg", "png", "csv"):
        assert (swept.path / f"results/figures/training_time.{kind}").stat().st_size > 0
    data = pd.read_csv(swept.path / "results/figures/training_time.csv")
    assert list(data["train_seconds"]) == [read_run(swept)["train_seconds"]]
    page = (swept.path / "results/report/index.html").read_text(encoding="utf-8")
    assert "Interruptions do not count." in page
    caption = swept.path / "report/training_time.rst"
    assert caption.read_text(encoding="utf-8") == "Interruptions do not count.\n"


def choose(swept: Checkout, *flags: str) -> subprocess.CompletedProcess:
    program = "from resomap.cli import app; app()"
    return subprocess.run(
        [sys.executable, "-c", program, "choose", "--json", *flags],
        cwd=swept.path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_constraint_excludes_a_candidate_and_reaches_page_and_documentation(swept):
    (excluded,) = json.loads(choose(swept, "--max-parameters", "1").stdout)["excluded"]
    assert excluded["reason"].startswith("number of parameters ")
    assert excluded["reason"].endswith(" parameters is above 1 parameters")
    assert json.loads(choose(swept, "--max-parameters", "1e9").stdout)["excluded"] == []
    answer = json.loads((swept.path / "results/tables/answer.json").read_text())
    assert answer["cost_budgets"][-1]["key"] == "max_parameters"
    assert answer["candidates"][0]["num_parameters"][0] > 1
    page = (swept.path / "config/README.md").read_text(encoding="utf-8")
    assert "`report.max_parameters`" in page


def test_recipes_change_no_other_file(swept):
    listed = subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=swept.path,
        capture_output=True,
        text=True,
        check=True,
    )
    changed = {line[3:] for line in listed.stdout.splitlines()}
    of_recipes = {block.file for blocks in read_recipes().values() for block in blocks}
    others = {path for path in changed - of_recipes if not path.startswith(GENERATED)}
    assert of_recipes <= changed
    assert others == set()
