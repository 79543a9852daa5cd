import re
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from resomap.report.catalogue import CATALOGUE, figure_names
from resomap.report.figures import style
from resomap.report.figures.cost import pareto_front
from resomap.report.figures.draw import draw_figures
from resomap.report.figures.evidence import group_order as evidence_groups
from resomap.report.figures.explanations import plot_explanations
from resomap.report.figures.panels import StoredImages, plot_pictures
from resomap.report.figures.reef import pair_accuracy_of_runs
from resomap.report.tables import Tables, read_tables
from resomap.system import files
from tests.synthetic import CLASSES, Sweep, write_results
from tests.unit.test_tables import aggregate

SMALL = Sweep(resolutions=(24, 48), test=80, val=40, native=48)


def draw(folder: Path, sweep: Sweep, *, explain: bool = True) -> Path:
    aggregate(folder, sweep)
    pictures = StoredImages(files.read_json(folder / "data/manifest.json"), folder / "data")
    draw_figures(
        read_tables(folder / "tables"),
        pictures,
        folder / "runs",
        folder / "figures",
        explain=explain,
        confidence=0.95,
    )
    return folder / "figures"


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("results"), SMALL)


@pytest.fixture(scope="module")
def tables(figures: Path) -> Tables:
    return read_tables(figures.parent / "tables")


def test_every_figure_is_a_picture_at_two_sizes_and_its_data(figures: Path) -> None:
    expected = {
        f"{name}.{kind}"
        for name in figure_names("reef", explain=True)
        for kind in ("svg", "png", "csv")
    }
    assert {path.name for path in figures.iterdir()} == expected


def test_names_are_known_from_the_data_set_and_whether_runs_are_explained() -> None:
    assert set(CATALOGUE) - set(figure_names("reef", explain=True)) == {"picture_sizes"}
    assert "picture_sizes" in figure_names("CIFAR10", explain=False)
    assert "reef_collapse" not in figure_names("folder", explain=True)
    assert "explanations" not in figure_names("reef", explain=False)


def test_a_figure_carries_its_title(figures: Path) -> None:
    svg = (figures / "groups_by_resolution.svg").read_text()
    assert (
        re.search("<dc:title>(.*)</dc:title>", svg)[1]
        == "Fine stripes are a coin toss up to 48 px, medium ones up to 24 px"
    )  # type: ignore[index]


def test_a_figure_needs_no_font_on_the_readers_machine(figures: Path) -> None:
    assert "<text" not in (figures / "accuracy_by_resolution.svg").read_text()


def test_the_same_tables_draw_the_same_bytes(figures: Path, tmp_path: Path) -> None:
    again = draw(tmp_path, SMALL)
    for name in ("accuracy_by_cost.svg", "accuracy_by_cost.csv", "explanations.png"):
        assert (again / name).read_bytes() == (figures / name).read_bytes()


@pytest.mark.parametrize(
    "sweep",
    [
        Sweep(models=("tiny_cnn",), resolutions=(24,), seeds=(0,), test=40, val=24, native=32),
        Sweep(
            models=("tiny_cnn",),
            resolutions=(16, 24),
            seeds=(0,),
            test=40,
            val=24,
            native=16,
            profiled=False,
            grouped=False,
            mask=False,
        ),
        Sweep(
            models=("tiny_cnn",),
            resolutions=(24,),
            seeds=(0,),
            test=40,
            val=24,
            native=24,
            waiting=(("tiny_cnn", 24, 0),),
        ),
        Sweep(
            models=("tiny_cnn",),
            resolutions=(24,),
            seeds=(0,),
            test=40,
            val=24,
            native=24,
            statuses={("tiny_cnn", 24, 0): "diverged"},
        ),
    ],
    ids=["one cell", "no groups, no masks, no profile", "nothing finished", "diverged"],
)
def test_whatever_is_missing_every_declared_figure_is_drawn(
    sweep: Sweep, tmp_path: Path
) -> None:
    folder = draw(tmp_path, sweep)
    expected = figure_names("reef" if sweep.grouped else "folder", explain=True)
    assert {path.stem for path in folder.iterdir()} == set(expected)


def test_many_models_are_drawn_family_by_family(tmp_path: Path) -> None:
    many = Sweep(
        models=tuple(f"net_{letter}" for letter in "abcdefg"),
        resolutions=(24,),
        seeds=(0,),
        test=40,
        val=24,
        native=24,
        explained=0,
    )
    assert (draw(tmp_path, many, explain=False) / "accuracy_by_resolution.svg").exists()


def test_a_point_is_on_the_front_when_nothing_beats_it_on_both() -> None:
    front = pareto_front(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.7, 0.9, 0.8, 0.9]))
    assert front.tolist() == [True, True, False, False]


def test_equal_points_share_the_front() -> None:
    assert pareto_front(np.array([1.0, 1.0]), np.array([0.7, 0.7])).tolist() == [True, True]


def test_pair_accuracy_of_a_group_weighs_its_classes_by_their_pictures() -> None:
    keys = {"family": "f", "model": "m", "resolution": 24, "seed": 0, "group": "fine"}
    classes = pd.DataFrame(
        [{**keys, "n": 30, "pair_accuracy": 1.0}, {**keys, "n": 10, "pair_accuracy": 0.0}]
    )
    groups = pd.DataFrame([{"group": "fine", "frequency": 40.0}])
    assert pair_accuracy_of_runs(classes, groups)["pair_accuracy"].tolist() == [0.75]


def test_a_test_picture_is_found_in_its_row_of_the_store(figures: Path) -> None:
    folder = figures.parent / "data"
    pictures = StoredImages(files.read_json(folder / "manifest.json"), folder)
    shown = np.array([3, 17])
    assert np.array_equal(pictures.stored(shown), pictures.at(SMALL.native)[shown])


def test_a_class_without_test_pictures_has_no_column(tmp_path: Path) -> None:
    sweep = Sweep(models=(), resolutions=(24,), test=6, val=24, native=24)
    manifest = write_results(tmp_path, sweep)
    drawing = plot_pictures(StoredImages(manifest, tmp_path / "data"), [24])
    assert drawing.data["class"].tolist() == CLASSES[:6]


def test_a_mask_that_covers_nothing_has_no_outline(tmp_path: Path) -> None:
    sweep = replace(SMALL, models=("tiny_cnn",), seeds=(0,))
    aggregate(tmp_path, sweep)
    masks = np.load(tmp_path / "data/masks_test.npy")
    files.write_array(tmp_path / "data/masks_test.npy", np.zeros_like(masks))
    pictures = StoredImages(files.read_json(tmp_path / "data/manifest.json"), tmp_path / "data")
    assert len(
        plot_explanations(read_tables(tmp_path / "tables"), pictures, tmp_path / "runs").data
    )


def test_a_model_has_one_look_in_every_figure() -> None:
    models = ["a", "b", "c"]
    assert len({tuple(style.model_look(models, model).values()) for model in models}) == 3


def test_a_group_has_one_colour_whatever_the_order_of_explained_pictures(
    tables: Tables,
) -> None:
    shuffled = replace(tables, explanations=tables.explanations.iloc[::-1])
    assert (
        evidence_groups(shuffled)
        == evidence_groups(tables)
        == ["outline", "broad", "medium", "fine"]
    )


def test_the_chosen_cell_is_marked_in_the_data(figures: Path, tables: Tables) -> None:
    data = pd.read_csv(figures / "accuracy_by_cost.csv")
    chosen = data[data["chosen"]]
    assert chosen[["model", "resolution"]].to_numpy().tolist() == [
        [tables.choice["choice"]["model"], tables.choice["choice"]["resolution"]]
    ]


def test_drawing_leaves_matplotlibs_settings_alone(figures: Path) -> None:
    assert figures.exists()
    assert mpl.rcParams["svg.hashsalt"] is None


def test_each_caption_of_snakemakes_report_is_that_of_the_page() -> None:
    folder = Path(__file__).parents[2] / "report"
    captions = {
        path.stem: " ".join(path.read_text(encoding="utf-8").split())
        for path in folder.glob("*.rst")
        if path.stem != "workflow"
    }
    assert captions == {
        name: " ".join(dedent(entry.caption).split()) for name, entry in CATALOGUE.items()
    }
