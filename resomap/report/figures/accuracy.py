"""Figures of accuracy: by resolution, and for every pair of training and test resolutions."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from resomap.report.figures.style import (
    Drawing,
    dodge,
    draw_interval,
    draw_nothing,
    draw_runs,
    grid_of,
    mark_native,
    model_look,
    new_figure,
    resolution_axis,
)
from resomap.report.tables import Tables
from resomap.report.text import titles

MOST_TOGETHER = 6
"""More models than this are drawn family by family."""


def plot_accuracy_by_resolution(
    tables: Tables, confidence: float, native_resolution: int
) -> Drawing:
    """Test accuracy of every run, and the mean with its interval of every cell."""
    cells, models = tables.cells, list(dict.fromkeys(tables.cells["model"]))
    title = titles.accuracy_title(cells)
    if not (cells["n_seeds"] > 0).any():
        return draw_nothing(title, "There is no accuracy to draw.", cells)
    together = len(models) <= MOST_TOGETHER
    families = (
        [list(models)]
        if together
        else [
            list(dict.fromkeys(rows["model"]))
            for _, rows in cells.groupby("family", sort=False)
        ]
    )
    columns = min(len(families), 3)
    note = f"Test accuracy at the training resolution: hollow dots are runs, filled ones their means with {100 * confidence:g} % intervals."
    figure = new_figure(
        title,
        note,
        (9.5, 5.4)
        if together
        else (max(4.6 * columns, 9.5), 3.9 * -(-len(families) // columns) + 1),
    )
    for axes, shown in zip(
        grid_of(figure, len(families), columns, sharey=True), families, strict=True
    ):
        for index, model in enumerate(shown):
            _draw_model(
                axes, tables, model, dodge(index, len(shown)), model_look(models, model)
            )
        _finish_accuracy(axes, sorted(set(cells["resolution"])), native_resolution)
        axes.legend(loc="lower right")
    return Drawing(figure, title, cells)


def _draw_model(
    axes: Axes, tables: Tables, model: str, shift: float, look: dict[str, str]
) -> None:
    runs = tables.runs[(tables.runs["model"] == model) & (tables.runs["status"] == "ok")]
    cells = tables.cells[(tables.cells["model"] == model) & (tables.cells["n_seeds"] > 0)]
    draw_runs(axes, runs["resolution"] * shift, runs["accuracy"], look["color"])
    draw_interval(axes, cells["resolution"] * shift, cells, "accuracy", label=model, **look)


def _finish_accuracy(axes: Axes, resolutions: list[int], native_resolution: int) -> None:
    resolution_axis(axes, resolutions)
    axes.set_ylabel("test accuracy")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.2f}")
    if max(resolutions) > native_resolution:
        mark_native(axes, native_resolution, "information ends here")


def plot_train_test_matrix(tables: Tables) -> Drawing:
    """Accuracy of every cell at every resolution of the sweep, a heat map a model."""
    matrix = tables.matrix
    models = list(dict.fromkeys(matrix["model"]))
    title = titles.matrix_title(matrix)
    note = "Test accuracy of networks trained at one resolution and tested at another, as they are (no recalibration); mean over seeds."
    if not models:
        return draw_nothing(title, "There is no accuracy to draw.", matrix)
    columns, count = min(len(models), 3), max(matrix["train_resolution"].nunique(), 3)
    side = 1.5 + count * (0.65 if count < 5 else 0.48)
    figure = new_figure(
        title, note, (max(side * columns + 1.2, 8.5), side * -(-len(models) // columns) + 1.1)
    )
    panels = grid_of(figure, len(models), columns, sharey=True)
    for axes, model in zip(panels, models, strict=True):
        _draw_matrix(
            axes, matrix[matrix["model"] == model], (float(matrix["accuracy"].min()), 1.0)
        )
        axes.set_title(model)
        axes.label_outer(remove_inner_ticks=True)
    bar = figure.colorbar(panels[0].collections[0], ax=panels, label="test accuracy", pad=0.02)
    bar.outline.set_visible(False)
    return Drawing(figure, title, matrix)


def _draw_matrix(axes: Axes, rows: pd.DataFrame, limits: tuple[float, float]) -> None:
    square = rows.pivot_table(
        index="train_resolution", columns="eval_resolution", values="accuracy"
    ).sort_index(ascending=False)
    size = 13 if len(square) < 6 else 9
    sns.heatmap(
        square,
        ax=axes,
        annot=True,
        fmt=".2f",
        cmap="crest",
        vmin=limits[0],
        vmax=limits[1],
        cbar=False,
        annot_kws={"size": size},
        linewidths=2,
    )
    axes.set(xlabel="tested at (px)", ylabel="trained at (px)", aspect="equal")
    axes.tick_params(length=0, rotation=0)
    axes.grid(visible=False)
    trained = np.array(square.index)
    for column, resolution in enumerate(square.columns):
        for row in np.flatnonzero(trained == resolution):
            axes.add_patch(_frame(column, int(row)))


def _frame(column: int, row: int) -> Rectangle:
    return Rectangle(
        (column + 0.04, row + 0.04), 0.92, 0.92, fill=False, edgecolor="#d98200", linewidth=2.5
    )
