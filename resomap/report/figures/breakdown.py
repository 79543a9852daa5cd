"""The figure of where the time of one picture goes, from its file to its logits."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from resomap.analysis.verdict import milliseconds
from resomap.report.figures.style import (
    BLUE,
    INK,
    ORANGE,
    PAPER,
    Drawing,
    draw_nothing,
    new_figure,
)
from resomap.report.tables import Tables
from resomap.report.text.cost_titles import breakdown_title, stage_shares
from resomap.report.text.data_titles import percent

LOOKS = {
    "decode": ("decode", ORANGE),
    "resize": ("resize", "#cc79a7"),
    "copy": ("copy", "#009e73"),
    "forward": ("network", BLUE),
}
MOST_MODELS = 6


def plot_cost_breakdown(tables: Tables) -> Drawing:
    """Shares of each stage in the time of one picture, a bar a resolution, a row a model, with its total at the end."""
    stages = tables.stages
    title = breakdown_title(stages)
    if stages.empty:
        return draw_nothing(
            title,
            "Set system.profiling.end_to_end to time the stages from a file to its logits.",
            stages,
        )
    models = list(dict.fromkeys(stages["model"]))
    note = f"Shares of the time of one picture, medians, decoded from a {' or a '.join(dict.fromkeys(stages['decoded_from']))}; at the right their sum (* invalid)."
    if len(models) > MOST_MODELS:
        note += f" The first {MOST_MODELS} of {len(models)} models."
    shown = [
        stages[stages["model"] == model].sort_values("resolution")
        for model in models[:MOST_MODELS]
    ]
    bars = [len(rows) for rows in shown]
    figure = new_figure(title, note, (9.5, 0.31 * sum(bars) + 0.42 * len(shown) + 1.75))
    panels = figure.subplots(len(shown), 1, squeeze=False, sharex=True, height_ratios=bars)[
        :, 0
    ]
    for axes, rows in zip(panels, shown, strict=True):
        _draw_bars(axes, rows)
    panels[-1].set_xlabel("share of the time")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LOOKS)
    )
    return Drawing(figure, title, stages)


def _draw_bars(axes: Axes, rows: pd.DataFrame) -> None:
    places, starts = np.arange(len(rows)), np.zeros(len(rows))
    for stage, shares in stage_shares(rows).items():
        name, colour = LOOKS[str(stage)]
        axes.barh(
            places,
            shares,
            left=starts,
            height=0.72,
            color=colour,
            edgecolor=PAPER,
            linewidth=0.8,
            label=name,
        )
        starts += shares.to_numpy()
    for place, row, share in zip(
        places, rows.to_dict("records"), stage_shares(rows)["forward"], strict=True
    ):
        mark = " *" if row["valid"] is False else ""
        told = f"{milliseconds(row['total_ms'])}{mark}  (network {percent(share)})"
        axes.annotate(
            told,
            (1, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=10.5,
            color=INK,
        )
    axes.set_yticks(places, [f"{px} px" for px in rows["resolution"]])
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    axes.set_title(rows["model"].iloc[0], fontsize=12.5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines[:].set_visible(False)
