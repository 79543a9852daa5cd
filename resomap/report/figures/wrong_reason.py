"""The figure of right answers for the wrong reason: accuracy, evidence and, as their judge, what an exchange does to the answers."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from resomap.report.figures.evidence import group_order, most_telling
from resomap.report.figures.style import (
    CHOSEN,
    MUTED,
    ON_LINES,
    PAPER,
    Drawing,
    dodge,
    draw_interval,
    draw_nothing,
    group_colour,
    new_figure,
    resolution_axis,
)
from resomap.report.tables import Tables
from resomap.report.text.evidence_titles import alarm_title

KINDS = {"exchange": "follow all but the object", "sticker": "follow the sticker"}
"""Interventions: what answers may follow instead of the object."""
CELL = ["family", "model", "resolution", "group"]


def plot_right_answer_wrong_reason(tables: Tables) -> Drawing:
    """Accuracy, evidence on the object and answers that follow something else, against resolution: a row a model, a colour a group."""
    alarms, title = tables.alarms, alarm_title(tables.alarms)
    groups = [group for group in group_order(tables) if group in set(alarms["group"])] or [
        "all"
    ]
    models = most_telling(tables, list(dict.fromkeys(alarms["model"])))
    note = (
        "Evidence: what the methods that passed the gate put on the object in right answers, 0 by chance, 1 all that their grids allow. Ringed: "
        "an alarm, accuracy holds while the evidence has left the object. "
        + _exchange_note(tables.interventions)
    )
    if not models:
        return draw_nothing(title, "It needs explained runs and masks.", alarms)
    kinds = [kind for kind in KINDS if kind in set(tables.interventions["kind"])]
    columns = 2 + len(kinds)
    figure = new_figure(title, note, (2.9 * columns + 0.6, 2.8 * len(models) + 1.9))
    panels = figure.subplots(len(models), columns, squeeze=False, sharex=True)
    for row, model in zip(panels, models, strict=True):
        own, ringed = (
            alarms[alarms["model"] == model],
            _places(alarms[(alarms["model"] == model) & (alarms["state"] == "fires")]),
        )
        changed = tables.interventions[tables.interventions["model"] == model]
        _draw_accuracy(row[0], own, groups, ringed)
        _draw_share(row[1], own, groups, ringed)
        for axes, kind in zip(row[2:], kinds, strict=True):
            _draw_follows(axes, changed[changed["kind"] == kind], groups, ringed)
        row[0].set_ylabel(model)
    _finish(panels, sorted(set(alarms["resolution"])), groups, kinds)
    columns_of = [
        "n_seeds",
        "n",
        "changed",
        "follows_rest",
        "follows_rest_low",
        "follows_rest_high",
    ]
    wide = tables.interventions.pivot_table(
        index=CELL, columns="kind", values=columns_of, sort=False
    )
    wide.columns = [f"{kind}_{name}" for name, kind in wide.columns]
    return Drawing(
        figure,
        title,
        alarms.merge(wide.reset_index(), on=CELL, how="left") if kinds else alarms,
    )


def _exchange_note(interventions: pd.DataFrame) -> str:
    return (
        "Right: its judge, which needs no map."
        if len(interventions)
        else "No intervention judged it."
    )


def _places(rows: pd.DataFrame) -> set[tuple[int, str]]:
    return set(zip(rows["resolution"], rows["group"], strict=True))


def _lines(
    axes: Axes, rows: pd.DataFrame, groups: list[str], name: str, ringed: set[tuple[int, str]]
) -> None:
    """Values of `name`, with their intervals where it has any, a line a group; rings around alarms."""
    for number, group in enumerate(groups):
        own = rows[rows["group"] == group].sort_values("resolution")
        x, colour = own["resolution"] * dodge(number, len(groups)), group_colour(groups, group)
        if f"{name}_low" in own:
            draw_interval(axes, x, own, name, color=colour, marker="o")
        else:
            axes.plot(
                x,
                own[name],
                color=colour,
                marker="o",
                markersize=7,
                markeredgecolor=PAPER,
                markeredgewidth=0.7,
            )
        fires = np.array(
            [(resolution, group) in ringed for resolution in own["resolution"]], bool
        )
        axes.scatter(
            x[fires],
            own.loc[fires, name],
            s=230,
            facecolor="none",
            edgecolor=CHOSEN,
            linewidth=2.2,
            zorder=6,
        )


def _draw_accuracy(
    axes: Axes, rows: pd.DataFrame, groups: list[str], ringed: set[tuple[int, str]]
) -> None:
    _lines(axes, rows, groups, "accuracy", ringed)
    axes.set_ylim(min(0.4, rows["accuracy"].min() - 0.05), 1.06)


def _draw_share(
    axes: Axes, rows: pd.DataFrame, groups: list[str], ringed: set[tuple[int, str]]
) -> None:
    axes.axhline(0, color=MUTED, linestyle=":", linewidth=1.3)
    _lines(axes, rows, groups, "share", ringed)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.05), max(high, 1.0))
    for resolution, own in rows[rows["state"] == "fires"].groupby("resolution"):
        axes.set_ylim(bottom=min(low, -0.35))
        place = {"textcoords": "offset points", "ha": "left", "va": "top"}
        axes.annotate(
            _alarm_words(own),
            (resolution, own["share"].min()),
            (-14, -14),
            **place,
            **{**ON_LINES, "color": CHOSEN, "fontsize": 10},
        )


def _alarm_words(fires: pd.DataFrame) -> str:
    """The groups, and under them what the judge says."""
    judged = dict.fromkeys(fires["judged"].dropna())
    return ", ".join(fires["group"]) + "".join(f"\njudge {verdict}" for verdict in judged)


def _draw_follows(
    axes: Axes, rows: pd.DataFrame, groups: list[str], ringed: set[tuple[int, str]]
) -> None:
    axes.axhline(0.5, color=MUTED, linestyle=":", linewidth=1.3)
    _lines(axes, rows, groups, "follows_rest", ringed)
    axes.set_ylim(-0.06, 1.06)


def _finish(
    panels: np.ndarray, resolutions: list[int], groups: list[str], kinds: list[str]
) -> None:
    for axes in panels.ravel():
        resolution_axis(axes, resolutions, "")
    for axes, heading in zip(
        panels[0],
        ["answered right", "evidence on the object", *(KINDS[kind] for kind in kinds)],
        strict=True,
    ):
        axes.set_title(heading)
    for axes in panels[-1]:
        axes.set_xlabel("input resolution (px)")
    handles = [
        Line2D(
            [],
            [],
            color=group_colour(groups, group),
            marker="o",
            markeredgecolor=PAPER,
            markersize=8,
        )
        for group in groups
    ]
    panels[0, 0].get_figure().legend(
        handles, groups, loc="outside lower center", ncols=len(groups)
    )
