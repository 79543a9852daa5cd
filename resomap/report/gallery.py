"""Draw every figure of the catalogue."""

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl

from resomap.report import accuracy, cost, evidence, panels, reef
from resomap.report.figures import figure_names
from resomap.report.inputs import Tables
from resomap.report.panels import Pictures
from resomap.report.style import STYLE, Drawing, save_drawing


def draw_figures(tables: Tables, pictures: Pictures, runs: Path, folder: Path, *, explain: bool, confidence: float) -> None:
    """Write every figure of the sweep into `folder`, each as .svg, .png and .csv; one without data says why."""
    drawers = _drawers(tables, pictures, runs, confidence)
    for name in figure_names(pictures.manifest["dataset"], explain):
        with mpl.rc_context(STYLE):
            drawing = drawers[name]()
        save_drawing(drawing, folder, name)


def _drawers(tables: Tables, pictures: Pictures, runs: Path, confidence: float) -> dict[str, Callable[[], Drawing]]:
    manifest, resolutions = pictures.manifest, sorted(set(tables.cells["resolution"]))
    return {
        "accuracy_by_resolution": lambda: accuracy.plot_accuracy_by_resolution(tables, confidence, manifest["native_resolution"]),
        "groups_by_resolution": lambda: reef.plot_groups_by_resolution(tables, confidence),
        "reef_collapse": lambda: reef.plot_reef_collapse(tables, manifest["filter"]),
        "train_test_matrix": lambda: accuracy.plot_train_test_matrix(tables),
        "accuracy_by_cost": lambda: cost.plot_accuracy_by_cost(tables, confidence),
        "cost_by_resolution": lambda: cost.plot_cost_by_resolution(tables),
        "evidence_by_resolution": lambda: evidence.plot_evidence_by_resolution(tables),
        "explanations": lambda: panels.plot_explanations(tables, pictures, runs),
        "pictures": lambda: panels.plot_pictures(pictures, resolutions),
    }
