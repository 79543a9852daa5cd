"""Draw every figure of the catalogue."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib as mpl

from resomap.report.catalogue import data_figure_names, figure_names
from resomap.report.facts import Facts, read_facts
from resomap.report.figures import (
    accuracy,
    agreement,
    breakdown,
    cost,
    data,
    evidence,
    explanations,
    faithfulness,
    fooled,
    information,
    mean_maps,
    panels,
    reef,
    wrong_reason,
)
from resomap.report.figures.panels import StoredImages
from resomap.report.figures.style import STYLE, Drawing, save_drawing
from resomap.report.tables import Tables

Drawers = dict[str, Callable[[], Drawing]]


def draw_figures(
    tables: Tables,
    pictures: StoredImages,
    runs: Path,
    folder: Path,
    *,
    explain: bool,
    confidence: float,
) -> None:
    """Write every figure of the sweep into `folder`, each as .svg, .png and .csv; one without data says why."""
    resolutions = sorted(set(tables.cells["resolution"]))
    drawers = _sweep_drawers(tables, pictures, runs, confidence) | _data_drawers(
        read_facts(pictures.folder), resolutions
    )
    _draw(drawers, figure_names(pictures.manifest["dataset"], explain), folder)


def draw_data_figures(facts: Facts, resolutions: Sequence[int], folder: Path) -> None:
    """Write the figures that are known before any training into `folder`."""
    _draw(
        _data_drawers(facts, resolutions), data_figure_names(facts.manifest["dataset"]), folder
    )


def _draw(drawers: Drawers, names: Iterable[str], folder: Path) -> None:
    for name in names:
        with mpl.rc_context(STYLE):
            drawing = drawers[name]()
        save_drawing(drawing, folder, name)


def _sweep_drawers(
    tables: Tables, pictures: StoredImages, runs: Path, confidence: float
) -> Drawers:
    manifest, resolutions = pictures.manifest, sorted(set(tables.cells["resolution"]))
    return {
        "accuracy_by_resolution": lambda: accuracy.plot_accuracy_by_resolution(
            tables, confidence, manifest["native_resolution"]
        ),
        "groups_by_resolution": lambda: reef.plot_groups_by_resolution(tables, confidence),
        "reef_collapse": lambda: reef.plot_reef_collapse(tables, manifest["filter"]),
        "train_test_matrix": lambda: accuracy.plot_train_test_matrix(tables),
        "accuracy_by_cost": lambda: cost.plot_accuracy_by_cost(tables, confidence),
        "cost_by_resolution": lambda: cost.plot_cost_by_resolution(tables),
        "cost_breakdown": lambda: breakdown.plot_cost_breakdown(tables),
        "evidence_by_resolution": lambda: evidence.plot_evidence_by_resolution(tables),
        "right_answer_wrong_reason": lambda: wrong_reason.plot_right_answer_wrong_reason(
            tables
        ),
        "agreement": lambda: agreement.plot_agreement(tables),
        "faithfulness": lambda: faithfulness.plot_faithfulness(tables),
        "explanations": lambda: explanations.plot_explanations(tables, pictures, runs),
        "correct_and_fooled": lambda: fooled.plot_correct_and_fooled(tables, pictures, runs),
        "mean_maps": lambda: mean_maps.plot_mean_maps(tables, pictures, runs),
        "pictures": lambda: panels.plot_pictures(pictures, resolutions),
    }


def _data_drawers(facts: Facts, resolutions: Sequence[int]) -> Drawers:
    return {
        "class_balance": lambda: data.plot_class_balance(facts),
        "picture_sizes": lambda: data.plot_picture_sizes(facts, resolutions),
        "information_by_resolution": lambda: information.plot_information(facts, resolutions),
        "contact_sheet": lambda: data.plot_contact_sheet(facts),
    }
