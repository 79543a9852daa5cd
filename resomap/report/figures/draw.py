"""Drawing all figures of the catalogue."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd

from resomap.analysis.facts import Facts, read_facts
from resomap.analysis.tables import Tables
from resomap.report.browser.build import write_browser
from resomap.report.catalogue import data_figure_names, figure_names
from resomap.report.figures import (
    accuracy,
    agreement,
    alarms,
    cascades,
    confusion,
    cost,
    data,
    demand,
    evidence,
    maps,
    panels,
    preprocessing,
    reef,
    trade_off,
)
from resomap.report.figures.panels import StoredImages
from resomap.report.figures.style import STYLE, Drawing, save_drawing

# By name of the figure; called only for those that the sweep declares.
Plots = dict[str, Callable[[], Drawing]]


def draw_figures(
    tables: Tables,
    images: StoredImages,
    runs: Path,
    folder: Path,
    *,
    explain: bool,
    confidence: float,
) -> None:
    """Write every figure of the sweep as .svg, .png and .csv; without data, with a reason.

    Beside them, write the data of the page's explanation browser.
    """
    resolutions = sorted(set(tables.cells["resolution"]))
    plots = {
        **_accuracy_plots(tables, images, confidence),
        **_evidence_plots(tables, images, runs),
        **_data_plots(read_facts(images.folder), resolutions),
        "pictures": lambda: panels.plot_images(images, resolutions),
    }
    _draw(plots, figure_names(images.manifest["dataset"], explain), folder)
    write_browser(tables, images, runs, folder)


def draw_data_figures(
    facts: Facts, resolutions: Sequence[int], folder: Path, png_above_bytes: int = 0
) -> None:
    """Write the figures that need no training; PNGs only of SVGs larger than that."""
    plots = _data_plots(facts, resolutions)
    _draw(plots, data_figure_names(facts.manifest["dataset"]), folder, png_above_bytes)


def draw_parity(table: pd.DataFrame, folder: Path, confidence: float) -> None:
    """Write the figure of other preprocessings, from the rows of preprocessing_parity.csv."""
    name = "preprocessing_parity"
    _draw({name: lambda: preprocessing.plot_preprocessing(table, confidence)}, [name], folder)


def _draw(plots: Plots, names: Iterable[str], folder: Path, png_above_bytes: int = 0) -> None:
    for name in names:
        # The style is restored afterwards: the caller may draw figures of its own.
        with mpl.rc_context(STYLE):
            drawing = plots[name]()
        save_drawing(drawing, folder, name, png_above_bytes)


def _accuracy_plots(tables: Tables, images: StoredImages, confidence: float) -> Plots:
    native, sampling_filter = (images.manifest[key] for key in ("native_resolution", "filter"))
    return {
        "accuracy_by_resolution": lambda: accuracy.plot_accuracy_by_resolution(
            tables, confidence, native
        ),
        "train_test_matrix": lambda: accuracy.plot_train_test_matrix(tables),
        "confusion": lambda: confusion.plot_confusion(tables),
        "demand": lambda: demand.plot_demand(tables),
        "groups_by_resolution": lambda: reef.plot_groups_by_resolution(tables, confidence),
        "reef_collapse": lambda: reef.plot_reef_collapse(tables, sampling_filter),
        "cascades": lambda: cascades.plot_cascades(tables),
        "accuracy_by_cost": lambda: trade_off.plot_accuracy_by_cost(tables, confidence),
        "cost_by_resolution": lambda: cost.plot_cost_by_resolution(tables),
        "cost_breakdown": lambda: cost.plot_cost_breakdown(tables),
    }


def _evidence_plots(tables: Tables, images: StoredImages, runs: Path) -> Plots:
    return {
        "right_answer_wrong_reason": lambda: alarms.plot_right_answer_wrong_reason(tables),
        "evidence_by_resolution": lambda: evidence.plot_evidence_by_resolution(tables),
        "agreement": lambda: agreement.plot_agreement(tables),
        "faithfulness": lambda: evidence.plot_faithfulness(tables),
        "explanations": lambda: maps.plot_explanations(tables, images, runs),
        "correct_and_fooled": lambda: maps.plot_correct_and_fooled(tables, images, runs),
        "mean_maps": lambda: maps.plot_mean_maps(tables, images, runs),
    }


def _data_plots(facts: Facts, resolutions: Sequence[int]) -> Plots:
    return {
        "class_balance": lambda: data.plot_class_balance(facts),
        "picture_sizes": lambda: data.plot_image_sizes(facts, resolutions),
        "information_by_resolution": lambda: data.plot_information(facts, resolutions),
        "contact_sheet": lambda: data.plot_contact_sheet(facts),
    }
