"""Figures of accuracy: by resolution, and for every pair of training and test resolutions."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from resomap.analysis.findings.accuracy import accuracy_of_models, most_accurate_model, transfer
from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.tables import Tables
from resomap.config.evaluation import EvaluationMode
from resomap.report.figures.style import (
    INK,
    ORANGE,
    PAPER,
    Drawing,
    dodge,
    draw_interval,
    draw_nothing,
    draw_runs,
    mark_majority,
    mark_native,
    model_style,
    new_figure,
    panel_grid,
    resolution_axis,
    unique,
)
from resomap.report.text.accuracy import ADAPTED, accuracy_title, transfer_title
from resomap.workflow.predictions import RAW

# With more models than this each family has its own panel.
MAX_MODELS_TOGETHER = 6
COLOURS = sns.color_palette("crest", as_cmap=True)
# What red, green and blue add to the brightness of a colour (ITU-R BT.709).
LUMINANCE = (0.2126, 0.7152, 0.0722)


def plot_accuracy_by_resolution(
    tables: Tables, confidence: float, native_resolution: int
) -> Drawing:
    """Plot the test accuracy of every run, and the mean of every cell with its interval."""
    cells = tables.cells
    title = accuracy_title(most_accurate_model(accuracy_of_models(cells, tables.knees)))
    if not (cells["n_seeds"] > 0).any():
        return draw_nothing(title, "No run has finished.", cells)
    panels = _panel_models(cells)
    note = (
        "Test accuracy at the training resolution. Filled: mean over seeds with its "
        f"{100 * confidence:g} % interval. Hollow: single runs."
    )
    figure, axes_of = _accuracy_panels(title, note, len(panels))
    for axes, shown in zip(axes_of, panels, strict=True):
        for index, model in enumerate(shown):
            _draw_model(axes, tables, model, dodge(index, len(shown)))
        _finish_accuracy(axes, sorted(set(cells["resolution"])), native_resolution)
        mark_majority(axes, cells)
        axes.legend(loc="best")
    return Drawing(figure, title, cells)


def _panel_models(cells: pd.DataFrame) -> list[list[str]]:
    models = unique(cells["model"])
    if len(models) <= MAX_MODELS_TOGETHER:
        return [models]
    return [unique(rows["model"]) for _, rows in cells.groupby("family", sort=False)]


def _accuracy_panels(title: str, note: str, count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, 3)
    size = (9.5, 5.4)
    if count > 1:
        size = (max(4.6 * columns, 9.5), 3.9 * -(-count // columns) + 1)
    figure = new_figure(title, note, size)
    return figure, panel_grid(figure, count, columns, sharey=True)


def _draw_model(axes: Axes, tables: Tables, model: str, shift: float) -> None:
    style = model_style(unique(tables.cells["model"]), model)
    runs = tables.runs[(tables.runs["model"] == model) & (tables.runs["status"] == "ok")]
    cells = tables.cells[(tables.cells["model"] == model) & (tables.cells["n_seeds"] > 0)]
    draw_runs(axes, runs["resolution"] * shift, runs["accuracy"], style["color"])
    draw_interval(axes, cells["resolution"] * shift, cells, "accuracy", label=model, **style)


def _finish_accuracy(axes: Axes, resolutions: list[int], native_resolution: int) -> None:
    resolution_axis(axes, resolutions)
    axes.set_ylabel("test accuracy")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}")
    # Above it images are upscaled: more pixels, no more detail.
    if max(resolutions) > native_resolution:
        mark_native(axes, native_resolution, "no further detail is stored")


def plot_train_test_matrix(tables: Tables) -> Drawing:
    """Plot the accuracy of every cell at every resolution, a heat map a model and mode."""
    matrix = tables.matrix
    models, modes = unique(matrix["model"]), unique(matrix["mode"])
    title = transfer_title(transfer(matrix))
    if not models:
        return draw_nothing(title, "No run has finished.", matrix)
    majority = majority_baseline(tables.cells).numbers["majority"].value
    shown = list(product(models, modes))
    # A row a model where there are several modes, so that these stand side by side.
    columns = min(len(models), 3) if len(modes) == 1 else len(modes)
    figure, panels = _matrix_panels(
        title, _matrix_note(modes, majority), matrix, len(shown), columns
    )
    # One scale for all models; the lowest value is often far above 0.
    lowest = min(float(matrix["accuracy"].min()), majority)
    tables_shown = [matrix[_is_of(matrix, *of_panel)] for of_panel in shown]
    for index, (axes, rows) in enumerate(zip(panels, tables_shown, strict=True)):
        if rows.empty:  # such as bn of a network without BatchNorm
            axes.set_axis_off()
            continue
        model, mode = shown[index]
        _draw_matrix(axes, rows, lowest)
        axes.set_title(model if mode == RAW else f"{model}, {mode}")
        below = tables_shown[index + columns : index + columns + 1]
        _label_panel(axes, is_lowest=all(one.empty for one in below))
    bar = figure.colorbar(panels[0].collections[0], ax=panels, label="test accuracy", pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.axhline(majority, color=ORANGE, linewidth=2.5)
    return Drawing(figure, title, matrix)


def _matrix_note(modes: Sequence[EvaluationMode], majority: float) -> str:
    adjusted = "another without any adjustment" if len(modes) == 1 else "another"
    note = (
        "Test accuracy, mean over seeds, of networks trained at one resolution and tested at "
        f"{adjusted}. Framed: tested where trained. Line on the scale: the majority class, "
        f"{majority:.3f}."
    )
    for mode in modes:
        if mode != RAW:
            note += f" {mode}: {ADAPTED[mode]}."
    return note


def _matrix_panels(
    title: str, note: str, matrix: pd.DataFrame, number: int, columns: int
) -> tuple[Figure, list[Axes]]:
    # Three columns or more of cells, else the title of a panel is wider than its matrix.
    count = max(matrix["train_resolution"].nunique(), 3)
    side = 1.5 + count * (0.65 if count < 5 else 0.48)
    size = (max(side * columns + 1.2, 8.5), side * -(-number // columns) + 1.1)
    figure = new_figure(title, note, size, compressed=True)
    return figure, panel_grid(figure, number, columns, sharey=True)


def _is_of(matrix: pd.DataFrame, model: str, mode: EvaluationMode) -> pd.Series:
    return (matrix["model"] == model) & (matrix["mode"] == mode)


def _draw_matrix(axes: Axes, rows: pd.DataFrame, lowest: float) -> None:
    table = rows.pivot_table(
        index="train_resolution", columns="eval_resolution", values="accuracy"
    ).sort_index(ascending=False)
    values = np.ma.masked_invalid(table.to_numpy(float))
    # Not seaborn's heat map: it draws the whole figure for each panel to find labels that
    # overlap, and 16 models in two modes took 11 GiB.
    mesh = axes.pcolormesh(
        values, cmap=COLOURS, vmin=lowest, vmax=1.0, edgecolor="white", linewidth=2
    )
    _write_accuracies(axes, values, mesh, 13 if len(table) < 6 else 9)
    rows_shown, columns_shown = values.shape
    axes.set(xlim=(0, columns_shown), ylim=(rows_shown, 0))
    axes.set_xticks(np.arange(columns_shown) + 0.5, list(map(str, table.columns)))
    axes.set_yticks(np.arange(rows_shown) + 0.5, list(map(str, table.index)))
    axes.spines[:].set_visible(False)
    axes.set(xlabel="tested at (px)", ylabel="trained at (px)", aspect="equal")
    axes.tick_params(length=0, rotation=0)
    axes.grid(visible=False)
    _frame_own_resolution(axes, table)


def _write_accuracies(axes: Axes, values: Any, mesh: Any, size: float) -> None:
    """Write every accuracy into its cell, dark on light colours and light on dark ones."""
    for row, column in np.argwhere(~np.ma.getmaskarray(values)):
        value = values[row, column]
        is_light = np.dot(mesh.to_rgba(value)[:3], LUMINANCE) > 0.5
        look = {"ha": "center", "va": "center", "color": INK if is_light else PAPER}
        axes.text(column + 0.5, row + 0.5, f"{value:.2f}", fontsize=size, **look)


def _label_panel(axes: Axes, *, is_lowest: bool) -> None:
    """Keep the labels at the left and below; the panel below may be empty."""
    label = axes.get_xlabel()
    axes.label_outer(remove_inner_ticks=True)
    if is_lowest:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(label)


def _frame_own_resolution(axes: Axes, table: pd.DataFrame) -> None:
    trained = np.array(table.index)
    for column, resolution in enumerate(table.columns):
        for row in np.flatnonzero(trained == resolution):
            corner = (column + 0.04, int(row) + 0.04)
            look = {"fill": False, "edgecolor": ORANGE, "linewidth": 2.5}
            axes.add_patch(Rectangle(corner, 0.92, 0.92, **look))
