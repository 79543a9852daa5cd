"""The figure of the resolutions that images need, by model and by class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from resomap.analysis.findings.accuracy import model_in_focus
from resomap.analysis.findings.demand import demand_of_model
from resomap.analysis.tables import Tables
from resomap.report.figures.style import (
    GRID,
    Drawing,
    draw_nothing,
    legend_below,
    new_figure,
    percent_axis,
    unique,
)
from resomap.report.text.demand import demand_title
from resomap.report.text.format import shorten_name

# Of more classes those that need the most are drawn.
MAX_CLASSES = 20
NEVER = "never"


def plot_demand(tables: Tables) -> Drawing:
    """Plot the share of the test images by the smallest resolution from which they are right."""
    demand, model = tables.demand, model_in_focus(tables)
    title = demand_title(demand_of_model(demand, model))
    if demand.empty:
        return draw_nothing(title, "No run has finished.", demand)
    named = demand.assign(demand=[_name(px) for px in demand["demand"]])
    models = _pivot(named[named["class"].isna()], "model")
    classes = _pivot(named[(named["model"] == model) & named["class"].notna()], "class")
    classes = classes.loc[_most_demanding(classes)]
    note = (
        "Share of the test images by the smallest resolution from which they are predicted "
        f"correctly, there and at all larger ones. Below: by class, {model}."
    )
    figure = new_figure(title, note, (9.5, 0.32 * (len(models) + len(classes)) + 3))
    heights = [len(models) + 1, len(classes) + 1]
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    colours = [*sns.color_palette("crest", len(models.columns) - 1), GRID]
    _draw_bars(upper, models, colours)
    _draw_bars(lower, classes, colours)
    lower.set_xlabel("share of the test images")
    handles, labels = upper.get_legend_handles_labels()
    legend_below(figure, handles, labels)
    return Drawing(figure, title, demand)


def _name(px: float) -> str:
    return NEVER if np.isnan(px) else f"{px:.0f} px"


def _pivot(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return shares by demand, in the order of the table: one row a model or class."""
    table = rows.pivot_table(index=key, columns="demand", values="share", sort=False)
    columns = [name for name in table.columns if name != NEVER]
    columns.sort(key=lambda name: int(name.removesuffix(" px")))
    return table.loc[unique(rows[key]), [*columns, NEVER]].fillna(0.0)


def _most_demanding(classes: pd.DataFrame) -> list[str]:
    # By what is not right from the smallest resolution on.
    shares = classes.iloc[:, 0]
    ranked = list(shares.index[np.argsort(shares.to_numpy(), kind="stable")][:MAX_CLASSES])
    return [name for name in classes.index if name in ranked]


def _draw_bars(axes: Axes, shares: pd.DataFrame, colours: Sequence) -> None:
    start = np.zeros(len(shares))
    for name, colour in zip(shares.columns, colours, strict=True):
        axes.barh(np.arange(len(shares)), shares[name], left=start, color=colour, label=name)
        start = start + shares[name].to_numpy()
    axes.set_yticks(np.arange(len(shares)), [shorten_name(name) for name in shares.index])
    axes.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6))
    percent_axis(axes.xaxis)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
