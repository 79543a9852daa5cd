import re
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest

from resomap.analysis.tables import read_tables
from resomap.report.browser.section import FILE_NAME
from resomap.report.catalogue import figure_names
from tests.drawings import draw_sweep
from tests.synthetic import Sweep

SMALL = Sweep(resolutions=(24, 48), test=80, val=40, native=48)
ONE_MODEL = Sweep(
    models=("tiny_cnn",), resolutions=(24,), seeds=(0,), test=40, val=24, native=24
)
INCOMPLETE = {
    "one cell": {},
    "no groups, no masks, no profile": {
        "resolutions": (16, 24),
        "profiled": False,
        "grouped": False,
        "mask": False,
    },
    "nothing finished": {"waiting": (("tiny_cnn", 24, 0),)},
    "diverged": {"statuses": {("tiny_cnn", 24, 0): "diverged"}},
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_sweep(tmp_path_factory.mktemp("results"), SMALL)


def test_every_figure_has_svg_png_and_data(figures: Path) -> None:
    expected = {
        f"{name}.{kind}"
        for name in figure_names("reef", explain=True)
        for kind in ("svg", "png", "csv")
    }
    assert {path.name for path in figures.iterdir()} == expected | {FILE_NAME}


def test_svg_metadata_holds_the_title(figures: Path) -> None:
    svg = (figures / "groups_by_resolution.svg").read_text()
    title = re.search("<dc:title>(.*)</dc:title>", svg)
    assert title
    assert "coin toss" in title[1]


def test_svg_needs_no_font(figures: Path) -> None:
    assert "<text" not in (figures / "accuracy_by_resolution.svg").read_text()


def test_equal_tables_give_equal_bytes(figures: Path, tmp_path: Path) -> None:
    again = draw_sweep(tmp_path, SMALL)
    for name in ("accuracy_by_cost.svg", "accuracy_by_cost.csv", "explanations.png"):
        assert (again / name).read_bytes() == (figures / name).read_bytes()


@pytest.mark.parametrize("case", INCOMPLETE)
def test_incomplete_sweep_draws_every_declared_figure(case: str, tmp_path: Path) -> None:
    sweep = Sweep(**{**vars(ONE_MODEL), **INCOMPLETE[case]})
    folder = draw_sweep(tmp_path, sweep)
    expected = figure_names("reef" if sweep.grouped else "folder", explain=True)
    assert {path.stem for path in folder.iterdir()} - {Path(FILE_NAME).stem} == set(expected)


def test_chosen_cell_is_marked_in_the_data(figures: Path) -> None:
    data = pd.read_csv(figures / "accuracy_by_cost.csv")
    choice = read_tables(figures.parent / "tables").choice["choice"]
    chosen = data.loc[data["chosen"], ["model", "resolution"]].to_numpy().tolist()
    assert chosen == [[choice["model"], choice["resolution"]]]


def test_drawing_restores_matplotlib_settings(figures: Path) -> None:
    mpl.rcdefaults()
    assert figures.exists()
    assert mpl.rcParams["svg.hashsalt"] is None
