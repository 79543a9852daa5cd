"""Correct predictions for the wrong reason: accuracy, evidence and interventions."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from resomap.analysis.alarm import COIN_TOSS
from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.findings.evidence import alarm_places
from resomap.analysis.tables import Tables
from resomap.report.figures.evidence import group_order, shown_models
from resomap.report.figures.style import (
    CHOSEN,
    LABEL_ON_LINES,
    MUTED,
    Drawing,
    dodge,
    draw_interval,
    draw_means,
    draw_nothing,
    group_colour,
    group_handles,
    legend_below,
    new_figure,
    resolution_rows,
    unique,
)
from resomap.report.text.evidence import alarm_title

# What predictions may follow instead of the object, by the kind of intervention.
INTERVENTION_HEADINGS = {"exchange": "follows the background", "sticker": "follows the sticker"}
INTERVENTION_NOTES = {
    "exchange": (
        "Background: share of predictions that follow the rest of an image after an object of "
        "another class replaces its own."
    ),
    "sticker": "Sticker: share that follow the sticker after it is reversed.",
}
INTERVENTION_COLUMNS = [
    "n_seeds",
    "n",
    "changed",
    "follows_rest",
    "follows_rest_low",
    "follows_rest_high",
]
GROUP_KEYS = ["family", "model", "resolution", "group"]
VERDICT_LABELS = {"agrees": "confirmed", "disagrees": "not confirmed"}
Alarm = tuple[int, str]


def plot_right_answer_wrong_reason(tables: Tables) -> Drawing:
    """Plot accuracy, evidence on the object and predictions that follow something else.

    A row a model, a colour a group; alarms are ringed.
    """
    alarms, interventions = tables.alarms, tables.interventions
    title = alarm_title(alarm_places(alarms))
    models = shown_models(tables, unique(alarms["model"]))
    if not models:
        return draw_nothing(title, "Needs explained runs and masks.", alarms)
    kinds = [kind for kind in INTERVENTION_HEADINGS if kind in set(interventions["kind"])]
    present = set(alarms["group"])
    groups = [group for group in group_order(tables) if group in present] or ["all"]
    # The accuracy of a group is inside its pairs, which have two classes.
    chance = COIN_TOSS
    if groups == ["all"]:
        chance = majority_baseline(tables.cells).numbers["majority"].value
    size = (2.9 * (2 + len(kinds)) + 0.6, 2.8 * len(models) + 1.9)
    figure = new_figure(title, _alarm_note(kinds), size)
    panels = figure.subplots(len(models), 2 + len(kinds), squeeze=False, sharex=True)
    for row, model in zip(panels, models, strict=True):
        of_model = alarms[alarms["model"] == model]
        changed = interventions[interventions["model"] == model]
        _draw_row(row, of_model, groups, changed, kinds, chance)
        row[0].set_ylabel(model, weight="bold")
    headings = [
        "predicted correctly",
        "evidence on the object",
        *map(INTERVENTION_HEADINGS.__getitem__, kinds),
    ]
    for axes, heading in zip(panels[0], headings, strict=True):
        axes.set_title(heading)
    resolution_rows(panels, sorted(set(alarms["resolution"])), "input resolution (px)")
    legend_below(figure, group_handles(groups), groups)
    # The data of the figure is complete: all models, not only those that have a row.
    data = _with_interventions(alarms, interventions) if kinds else alarms
    return Drawing(figure, title, data)


def _alarm_note(kinds: list[str]) -> str:
    notes = " ".join(map(INTERVENTION_NOTES.__getitem__, kinds))
    return (
        "Evidence on the object in correct predictions, mean of the methods that pass the "
        "sanity check: 0 is chance, 1 the most that their grids allow. Ringed: alarm, accuracy "
        f"holds without evidence on the object. Dotted: guessing. {notes or 'No intervention can confirm an alarm.'}"
    )


def _with_interventions(alarms: pd.DataFrame, interventions: pd.DataFrame) -> pd.DataFrame:
    wide = interventions.pivot_table(
        index=GROUP_KEYS, columns="kind", values=INTERVENTION_COLUMNS, sort=False
    )
    # One row per alarm: the kind of intervention moves into the column names.
    wide.columns = [f"{kind}_{name}" for name, kind in wide.columns]
    return alarms.merge(wide.reset_index(), on=GROUP_KEYS, how="left")


def _draw_row(
    row: np.ndarray,
    alarms: pd.DataFrame,
    groups: list[str],
    interventions: pd.DataFrame,
    kinds: list[str],
    chance: float,
) -> None:
    fires = alarms[alarms["state"] == "fires"]
    ringed = set(zip(fires["resolution"], fires["group"], strict=True))
    _draw_groups(row[0], alarms, groups, "accuracy", ringed)
    # From below chance of two classes, so that panels of several models compare.
    lowest = min(0.4, alarms["accuracy"].min(), chance) - 0.05
    row[0].axhline(chance, color=MUTED, linestyle=":", linewidth=1.3)
    row[0].set_ylim(lowest, 1.06)
    _draw_evidence(row[1], alarms, groups, ringed)
    for axes, kind in zip(row[2:], kinds, strict=True):
        # A network that guesses follows the rest in half of the images.
        axes.axhline(COIN_TOSS, color=MUTED, linestyle=":", linewidth=1.3)
        rows = interventions[interventions["kind"] == kind]
        _draw_groups(axes, rows, groups, "follows_rest", ringed)
        axes.set_ylim(-0.06, 1.06)


def _draw_groups(
    axes: Axes, rows: pd.DataFrame, groups: list[str], name: str, ringed: set[Alarm]
) -> None:
    """Draw the values of column `name`, with its intervals if any, and ring the alarms."""
    for number, group in enumerate(groups):
        of_group = rows[rows["group"] == group].sort_values("resolution")
        colour = group_colour(groups, group)
        x = of_group["resolution"] * dodge(number, len(groups))
        if f"{name}_low" in of_group:
            draw_interval(axes, x, of_group, name, color=colour, marker="o")
        else:
            draw_means(axes, x, of_group[name], colour, markeredgewidth=0.7)
        # Groups at one resolution are dodged, so rings take the dodged x.
        fires = np.array([(px, group) in ringed for px in of_group["resolution"]], bool)
        ring = {"facecolor": "none", "edgecolor": CHOSEN, "linewidth": 2.2}
        axes.scatter(x[fires], of_group.loc[fires, name], s=230, zorder=6, **ring)


def _draw_evidence(
    axes: Axes, rows: pd.DataFrame, groups: list[str], ringed: set[Alarm]
) -> None:
    axes.axhline(0, color=MUTED, linestyle=":", linewidth=1.3)
    _draw_groups(axes, rows, groups, "share", ringed)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.05), max(high, 1.0))
    fires, before = rows[rows["state"] == "fires"], ""
    for resolution, of_resolution in fires.groupby("resolution"):
        # Room below the rings for one line per group and one for the verdict.
        axes.set_ylim(bottom=min(low, -0.6))
        point = (resolution, of_resolution["share"].min())
        offset = {"xytext": (-6, -13), "textcoords": "offset points", "va": "top"}
        look = {**LABEL_ON_LINES, "color": CHOSEN, "fontsize": 9}
        label = _alarm_label(of_resolution)
        # Equal neighbours would overlap.
        if label != before:
            axes.annotate(label, point, **offset, **look)
        before = label


def _alarm_label(fires: pd.DataFrame) -> str:
    verdicts = unique(fires["judged"].dropna().map(VERDICT_LABELS))
    return "\n".join([*fires["group"], *verdicts])
