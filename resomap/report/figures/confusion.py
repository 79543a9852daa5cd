"""The figure of confusion matrices, of the model in focus at several resolutions."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.findings.confusion import top_confusion
from resomap.analysis.tables import Tables
from resomap.report.figures.style import Drawing, draw_nothing, new_figure, panel_grid, unique
from resomap.report.text.confusion import confusion_title
from resomap.report.text.format import shorten_name

# Of more classes only those with the most errors are drawn, so that names can be read.
MAX_CLASSES = 20
MAX_PANELS = 3


def plot_confusion(tables: Tables) -> Drawing:
    """Plot the share of each class's test images that is predicted as each class."""
    model = model_in_focus(tables)
    confusion = tables.confusion[tables.confusion["model"] == model]
    resolutions = _shown_resolutions(sorted(set(confusion["resolution"])))
    title = confusion_title(top_confusion(confusion, model, max(resolutions, default=0)))
    if confusion.empty:
        return draw_nothing(title, "No run has finished.", confusion)
    shown = confusion[confusion["resolution"].isin(resolutions)]
    classes = _shown_classes(shown)
    note = (
        "Share of the test images of a class (row) that is predicted as each class (column), "
        f"of all runs of {model}. Shares of 0 are blank."
    )
    total = len(_class_names(shown))
    if total > len(classes):
        note += f" The {len(classes)} of {total:,} classes with the most errors."
    side = 0.34 * max(len(classes), 6)
    # Beside the panels: names at the left, and the scale.
    size = (max((side + 0.2) * len(resolutions) + 2.6, 8.5), side + 2.9)
    figure = new_figure(title, note, size, compressed=True)
    panels = panel_grid(figure, len(resolutions), len(resolutions), sharey=True)
    for axes, resolution in zip(panels, resolutions, strict=True):
        _draw_shares(axes, shown[shown["resolution"] == resolution], classes)
        axes.set_title(f"{resolution} px")
        axes.label_outer(remove_inner_ticks=True)
    bar = figure.colorbar(panels[0].collections[0], ax=panels, label="share", pad=0.02)
    bar.outline.set_visible(False)
    return Drawing(figure, title, shown)


def _shown_resolutions(resolutions: list[int]) -> list[int]:
    """Return the ends and the middle."""
    if len(resolutions) <= MAX_PANELS:
        return resolutions
    return [resolutions[0], resolutions[len(resolutions) // 2], resolutions[-1]]


def _shown_classes(confusion: pd.DataFrame) -> list[str]:
    """Return the classes in the order of the dataset, the largest if there are many."""
    wrong = confusion[confusion["class"] != confusion["predicted"]]
    errors = wrong.groupby("class")["count"].sum() + 0.0
    errors = errors.add(wrong.groupby("predicted")["count"].sum(), fill_value=0)
    names = _class_names(confusion)
    # Stable, so that classes with as many errors keep their order.
    ranked = sorted(names, key=lambda name: -errors.get(name, 0))[:MAX_CLASSES]
    return [name for name in names if name in ranked]


def _class_names(confusion: pd.DataFrame) -> list[str]:
    """Return the classes that have test images, then those that are only predicted."""
    return unique([*confusion["class"], *confusion["predicted"]])


def _draw_shares(axes: Axes, rows: pd.DataFrame, classes: list[str]) -> None:
    table = rows.assign(share=rows["count"] / rows["n"]).pivot_table(
        index="class", columns="predicted", values="share"
    )
    shares = table.reindex(index=classes, columns=classes)
    sns.heatmap(
        shares,
        ax=axes,
        annot=len(classes) <= 12,
        fmt=".2f",
        annot_kws={"size": 8},
        cmap="crest",
        vmin=0,
        vmax=1,
        cbar=False,
        linewidths=1,
    )
    names = [shorten_name(name, 16) for name in classes]
    ticks = np.arange(len(classes)) + 0.5
    axes.set_xticks(ticks, names, rotation=90, fontsize=9)
    axes.set_yticks(ticks, names, rotation=0, fontsize=9)
    axes.set(xlabel="predicted", ylabel="class", aspect="equal")
    axes.tick_params(length=0)
    axes.grid(visible=False)
