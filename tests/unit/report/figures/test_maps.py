from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resomap.analysis.tables import Tables
from resomap.report.figures.maps import (
    ends_and_middle,
    in_turn,
    plot_correct_and_fooled,
    plot_explanations,
    plot_mean_maps,
)
from resomap.report.figures.panels import StoredImages
from resomap.report.figures.style import Drawing
from resomap.system import files
from tests.alarm_tables import alarm_table

RUN = "runs/custom/simple_cnn/r{resolution}/seed{seed}/explanations"


@pytest.fixture
def explanations(tables: Tables, images: StoredImages, explained: Path) -> Drawing:
    return plot_explanations(tables, images, explained / "runs")


@pytest.fixture
def mean_maps(tables: Tables, images: StoredImages, explained: Path) -> Drawing:
    return plot_mean_maps(tables, images, explained / "runs")


@pytest.fixture
def without_alarm(tables: Tables, images: StoredImages, explained: Path) -> pd.DataFrame:
    quiet = replace(tables, alarms=alarm_table())
    return plot_correct_and_fooled(quiet, images, explained / "runs").data


def localisation(folder: Path, resolution: int) -> pd.DataFrame:
    return pd.read_csv(folder / RUN.format(resolution=resolution, seed=0) / "localisation.csv")


def test_maps_of_a_column_share_one_scale(explanations: Drawing) -> None:
    scales = explanations.data.groupby(["resolution", "method"])["full_scale"]
    assert (scales.nunique() == 1).all()
    limits = {
        image.get_clim()
        for axes in explanations.figure.axes
        for image in axes.images
        if image.get_array().ndim == 2
    }
    assert len(limits) == explanations.data["full_scale"].nunique()
    assert all(low == -high for low, high in limits)


def test_baselines_have_no_maps(explanations: Drawing) -> None:
    methods = {"gradcam", "integrated_gradients", "saliency"}
    assert set(explanations.data["method"]) == methods


def test_heading_of_failed_method_is_struck_through(explanations: Drawing) -> None:
    headings = {
        axes.get_title().split("\n")[0]
        for axes in explanations.figure.axes
        if axes.get_title() and axes.lines
    }
    assert headings == {"Saliency"}


def test_alarm_images_come_first(tables: Tables, images: StoredImages, explained: Path) -> None:
    rows = localisation(explained, 48)
    rows = rows[rows["method"] == "gradcam"]
    right, wrong = (rows[rows["right"] == value]["index"].tolist() for value in (1, 0))
    raised = [*wrong[:1], right[5], right[2]]
    table = alarm_table((48, "fine"), images=" ".join(map(str, raised)))
    alarmed = replace(tables, alarms=table)
    data = plot_correct_and_fooled(alarmed, images, explained / "runs").data
    assert data["resolution"].unique().tolist() == [48]
    least = data[data["side"] == "least"]["index"].tolist()
    assert least[:2] == [right[5], right[2]]


def test_no_alarm_shows_extremes_at_smallest_resolution(without_alarm: pd.DataFrame) -> None:
    assert without_alarm["resolution"].unique().tolist() == [24]
    assert without_alarm["side"].tolist() == ["least"] * 4 + ["most"] * 4
    assert without_alarm["share"].is_monotonic_increasing
    assert without_alarm["index"].is_unique


def test_only_correct_answers_are_shown(without_alarm: pd.DataFrame, explained: Path) -> None:
    rows = localisation(explained, 24)
    assert rows[rows["index"].isin(without_alarm["index"])]["right"].eq(1).all()


def test_alarms_of_several_groups_take_turns() -> None:
    assert in_turn([["1", "2", "3"], ["4"], []]) == ["1", "4", "2", "3"]
    assert in_turn([]) == []


def test_mean_map_averages_images_and_seeds(
    mean_maps: Drawing, images: StoredImages, explained: Path
) -> None:
    rows = mean_maps.data[["method", "resolution"]].to_numpy().tolist()
    methods, resolutions = ("gradcam", "integrated_gradients"), (24, 48, 96)
    assert rows == [[method, px] for method in methods for px in resolutions]
    of_class = []
    for seed in (0, 1):
        path = explained / RUN.format(resolution=24, seed=seed) / "gradcam.npz"
        arrays = files.read_arrays(path)
        of_class.append(arrays["attribution"][images.labels[arrays["index"]] == 0])
    expected = np.concatenate(of_class).mean(axis=0)
    assert np.allclose(mean_maps.figure.axes[0].images[0].get_array(), expected)


def test_mean_maps_of_a_row_share_one_scale(mean_maps: Drawing) -> None:
    limits = [axes.images[0].get_clim() for axes in mean_maps.figure.axes if axes.images]
    assert len(limits) == 6 * 8
    assert all(len(set(limits[row * 8 : row * 8 + 8])) == 1 for row in range(6))


@pytest.mark.parametrize(
    ("values", "shown"),
    [([16, 24, 32, 48, 64], [16, 32, 64]), ([24, 48], [24, 48]), ([24], [24])],
)
def test_long_sweep_shows_ends_and_middle(values: list[int], shown: list[int]) -> None:
    assert ends_and_middle(values) == shown
