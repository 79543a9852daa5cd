from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from resomap.report.figures.agreement import plot_agreement
from resomap.report.figures.evidence import plot_evidence_by_resolution
from resomap.report.figures.explanations import plot_explanations
from resomap.report.figures.faithfulness import plot_faithfulness
from resomap.report.figures.fooled import in_turn, plot_correct_and_fooled
from resomap.report.figures.maps import FULL_SCALE, ends_and_middle, full_scale
from resomap.report.figures.mean_maps import plot_mean_maps
from resomap.report.figures.panels import StoredImages
from resomap.report.figures.style import CHOSEN, MUTED, STYLE, Drawing
from resomap.report.figures.wrong_reason import plot_right_answer_wrong_reason
from resomap.report.tables import Tables, read_tables
from resomap.system import files
from tests.synthetic import Sweep
from tests.unit.test_tables import aggregate

ALARMS = ("family", "model", "resolution", "group", "n_seeds", "n", "accuracy", "accuracy_best", "share", "share_low", "share_high", "state", "judged", "pictures")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    aggregate(
        folder,
        Sweep(
            models=("simple_cnn",),
            resolutions=(24, 48, 96),
            test=80,
            val=40,
            explained=24,
            struck=("saliency",),
        ),
    )
    return folder


@pytest.fixture
def tables(folder: Path) -> Tables:
    return read_tables(folder / "tables")


@pytest.fixture
def pictures(folder: Path) -> StoredImages:
    return StoredImages(files.read_json(folder / "data/manifest.json"), folder / "data")


@pytest.fixture(autouse=True)
def look() -> Iterator[None]:
    with mpl.rc_context(STYLE):
        yield


def alarms(*fire: tuple[int, str], pictures: str = "") -> pd.DataFrame:
    """An alarm table of four groups at three resolutions, in which those fire."""
    rows: list[dict[str, Any]] = []
    for px in (24, 48, 96):
        for group in ("outline", "broad", "medium", "fine"):
            fires = (px, group) in fire
            numbers = {
                "accuracy": 0.97,
                "accuracy_best": 1.0,
                "share": 0.02 if fires else 0.5,
                "share_low": 0.0,
                "share_high": 0.6,
            }
            named = {
                "family": "custom",
                "model": "simple_cnn",
                "resolution": px,
                "group": group,
                "n_seeds": 2,
                "n": 12,
            }
            told = (
                {"state": "fires", "judged": "agrees", "pictures": pictures}
                if fires
                else {"state": "silent"}
            )
            rows.append({**named, **numbers, **told})
    return pd.DataFrame(rows, columns=list(ALARMS))


def panels(drawing: Drawing) -> list[Axes]:
    return drawing.figure.axes


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def panel(drawing: Drawing, heading: str) -> Axes:
    return next(
        axes for axes in panels(drawing) if axes.get_title(loc="left").startswith(heading)
    )


def note(drawing: Drawing) -> str:
    return " ".join(text.get_text() for text in drawing.figure.texts)


def test_relevance_is_drawn_over_the_best_that_its_grid_allows(tables: Tables) -> None:
    axes = panel(plot_evidence_by_resolution(tables), "Grad-CAM")
    rows = tables.explanations[
        (tables.explanations["method"] == "gradcam") & (tables.explanations["group"] == "broad")
    ]
    expected = rows.groupby("resolution")["relevance_mass"].mean() / 0.9
    assert any(
        np.allclose(line.get_ydata(), expected)
        for line in axes.lines
        if len(line.get_xdata()) == 3
    )


def test_baselines_stand_behind_every_method_and_the_edge_filter_beside_the_difference(
    tables: Tables,
) -> None:
    drawing = plot_evidence_by_resolution(tables)
    for method in ("Grad-CAM", "Integrated Gradients", "Saliency"):
        assert {
            line.get_linestyle()
            for line in panel(drawing, method).lines
            if line.get_color() == MUTED
        } >= {"--", "-.", ":"}
    legend = panel(drawing, "medium").get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [
        "Grad-CAM",
        "Integrated Gradients",
        "edge filter",
    ]


def test_what_was_struck_out_is_crossed_in_its_panel_and_said_in_the_note(
    tables: Tables,
) -> None:
    drawing = plot_evidence_by_resolution(tables)
    crossed = {
        name: [
            line
            for line in panel(drawing, name).lines
            if line.get_marker() == (2, 2, -45) and len(line.get_xdata())
        ]
        for name in ("Grad-CAM", "Saliency")
    }
    assert (len(crossed["Grad-CAM"]), len(crossed["Saliency"])) == (0, 4)
    assert "Crossed out" in note(drawing)
    passed = replace(tables, sanity=tables.sanity.assign(passed=True))
    assert "Crossed out" not in note(plot_evidence_by_resolution(passed))


def rings(axes: Axes) -> int:
    return sum(
        len(dots.get_offsets())
        for dots in axes.collections
        if np.allclose(mpl.colors.to_rgba(CHOSEN), dots.get_edgecolors()[:1])
    )


def test_every_alarm_is_ringed_in_every_panel_and_named_where_evidence_is(
    tables: Tables,
) -> None:
    drawing = plot_right_answer_wrong_reason(
        replace(tables, alarms=alarms((24, "medium"), (24, "fine"), (48, "fine")))
    )
    assert [rings(axes) for axes in panels(drawing)] == [3, 3, 3]
    assert words(panel(drawing, "evidence")) == [
        "medium, fine\njudge agrees",
        "fine\njudge agrees",
    ]
    assert (
        drawing.title
        == "At 24 px medium and fine, at 48 px fine are answered right for the wrong reason"
    )


def test_without_an_alarm_nothing_is_ringed(tables: Tables) -> None:
    drawing = plot_right_answer_wrong_reason(replace(tables, alarms=alarms()))
    assert [rings(axes) for axes in panels(drawing)] == [0, 0, 0]


def test_accuracy_and_evidence_stand_alone_where_nothing_was_exchanged(tables: Tables) -> None:
    drawing = plot_right_answer_wrong_reason(
        replace(tables, alarms=alarms(), interventions=tables.interventions[:0])
    )
    assert len(panels(drawing)) == 2
    assert "No intervention judged it." in note(drawing)


def test_what_an_exchange_showed_is_in_the_data_of_the_alarm(tables: Tables) -> None:
    data = plot_right_answer_wrong_reason(replace(tables, alarms=alarms())).data
    rows = tables.interventions
    expected = rows[(rows["resolution"] == 24) & (rows["group"] == "fine")][
        "follows_rest"
    ].iloc[0]
    assert data.loc[
        (data["resolution"] == 24) & (data["group"] == "fine"), "exchange_follows_rest"
    ].tolist() == [expected]


def test_agreement_shows_what_is_normalised_under_the_ceilings(tables: Tables) -> None:
    axes = panel(plot_agreement(tables), "Integrated Gradients")
    assert words(axes)[:4] == ["0.55", "0.64", "0.58\N{EN DASH}0.70", "0.55"]
    assert words(axes)[-1].startswith(
        "raw, 24 to 96 px:\nmaps 0.28\nedge filter 0.45\nuntrained 0.10\nfloor 0.05"
    )


def test_agreement_that_means_nothing_is_hatched(tables: Tables) -> None:
    blank = tables.agreement.assign(
        normalised=tables.agreement["normalised"].mask(tables.agreement["high"] == 96)
    )
    axes = panel(plot_agreement(replace(tables, agreement=blank)), "Grad-CAM")
    assert sum(patch.get_hatch() is not None for patch in axes.patches) == 2
    assert words(axes).count("\N{EN DASH}") == 2


def test_colours_of_agreement_end_at_the_ceiling(tables: Tables) -> None:
    rows = tables.agreement
    above = rows.assign(normalised=rows["normalised"].where(rows["normalised"].isna(), 1.7))
    axes = panel(plot_agreement(replace(tables, agreement=above)), "Grad-CAM")
    assert "1.70" in words(axes)
    assert any(patch.get_facecolor() == mpl.colormaps["crest"](1.0) for patch in axes.patches)


def test_one_seed_shows_raw_agreement_and_says_so(tmp_path: Path) -> None:
    aggregate(
        tmp_path,
        Sweep(
            models=("simple_cnn",), resolutions=(24, 48), seeds=(0,), test=40, val=24, native=48
        ),
    )
    drawing = plot_agreement(read_tables(tmp_path / "tables"))
    assert "0.39" in words(panel(drawing, "Grad-CAM"))
    assert "one seed gives no ceiling" in note(drawing)


def test_faithfulness_is_drawn_beyond_the_random_order_on_one_scale(tables: Tables) -> None:
    drawing = plot_faithfulness(tables)
    shown = panels(drawing)
    assert len({axes.get_ylim() for axes in shown}) == 1
    heights = [
        line.get_ydata()[0]
        for line in panel(drawing, "Grad-CAM").lines
        if line.get_marker() == "o" and len(line.get_ydata()) == 2
    ]
    assert heights == pytest.approx([0.2] * 3, abs=0.03)


def test_the_maps_of_a_column_share_one_scale(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    drawing = plot_explanations(tables, pictures, folder / "runs")
    scales = drawing.data.groupby(["resolution", "method"])["full_scale"].nunique()
    assert (scales == 1).all()
    limits = {
        image.get_clim()
        for axes in panels(drawing)
        for image in axes.images
        if image.get_array().ndim == 2
    }
    assert len(limits) == drawing.data["full_scale"].nunique()
    assert all(low == -high for low, high in limits)


def test_baselines_have_no_column_of_maps(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    drawing = plot_explanations(tables, pictures, folder / "runs")
    assert set(drawing.data["method"]) == {"gradcam", "integrated_gradients", "saliency"}


def test_a_method_that_was_struck_out_is_crossed_through_its_title(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    drawing = plot_explanations(tables, pictures, folder / "runs")
    crossed = {
        axes.get_title().split("\n")[0]
        for axes in panels(drawing)
        if axes.get_title() and axes.lines
    }
    assert crossed == {"Saliency"}


def test_a_map_of_nothing_has_a_scale() -> None:
    assert full_scale(np.zeros((2, 3, 3))) == 1.0
    spike = np.zeros((1, 30, 30))
    spike[0, 0, 0] = 5.0
    assert np.percentile(spike, FULL_SCALE) == 0
    assert full_scale(spike) == 5.0


def test_pictures_that_raised_the_alarm_stand_first(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    rows = pd.read_csv(
        folder / "runs/custom/simple_cnn/r48/seed0/explanations/localisation.csv"
    )
    right = rows[(rows["right"] == 1) & (rows["method"] == "gradcam")]["index"].tolist()
    wrong = rows[(rows["right"] == 0) & (rows["method"] == "gradcam")]["index"].tolist()
    raised = [*wrong[:1], right[5], right[2]]
    table = alarms((48, "fine"), pictures=" ".join(map(str, raised)))
    drawing = plot_correct_and_fooled(replace(tables, alarms=table), pictures, folder / "runs")
    least = drawing.data[drawing.data["side"] == "least"]["index"].tolist()
    assert drawing.data["resolution"].unique().tolist() == [48]
    assert least[:2] == [right[5], right[2]]
    assert drawing.title.startswith("Right for the wrong reason?")


def test_without_an_alarm_the_smallest_resolution_shows_the_least_and_the_most_evidence(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    drawing = plot_correct_and_fooled(
        replace(tables, alarms=alarms()), pictures, folder / "runs"
    )
    data = drawing.data
    assert data["resolution"].unique().tolist() == [24]
    assert data["side"].tolist() == ["least"] * 4 + ["most"] * 4
    assert data["share"].is_monotonic_increasing
    assert data["index"].is_unique


def test_only_right_answers_are_shown(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    data = plot_correct_and_fooled(
        replace(tables, alarms=alarms()), pictures, folder / "runs"
    ).data
    rows = pd.read_csv(
        folder / "runs/custom/simple_cnn/r24/seed0/explanations/localisation.csv"
    )
    assert rows[rows["index"].isin(data["index"])]["right"].eq(1).all()


def test_alarms_of_several_groups_take_turns() -> None:
    assert in_turn([["1", "2", "3"], ["4"], []]) == ["1", "4", "2", "3"]


def test_the_mean_map_of_a_class_is_that_of_its_pictures_and_seeds(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    drawing = plot_mean_maps(tables, pictures, folder / "runs")
    assert drawing.data[["method", "resolution"]].to_numpy().tolist() == [
        [m, px] for m in ("gradcam", "integrated_gradients") for px in (24, 48, 96)
    ]
    stored = [
        files.read_arrays(
            folder / f"runs/custom/simple_cnn/r24/seed{seed}/explanations/gradcam.npz"
        )
        for seed in (0, 1)
    ]
    expected = np.concatenate(
        [arrays["attribution"][pictures.labels[arrays["index"]] == 0] for arrays in stored]
    ).mean(axis=0)
    assert np.allclose(panels(drawing)[0].images[0].get_array(), expected)


def test_the_mean_maps_of_a_row_share_one_scale(
    tables: Tables, pictures: StoredImages, folder: Path
) -> None:
    drawing = plot_mean_maps(tables, pictures, folder / "runs")
    limits = [axes.images[0].get_clim() for axes in panels(drawing) if axes.images]
    assert len(limits) == 6 * 8
    assert all(len(set(limits[row * 8 : row * 8 + 8])) == 1 for row in range(6))


def test_a_long_sweep_is_shown_by_its_ends_and_its_middle() -> None:
    assert ends_and_middle([16, 24, 32, 48, 64]) == [16, 32, 64]
    assert ends_and_middle([24, 48]) == [24, 48]
    assert ends_and_middle([24]) == [24]
