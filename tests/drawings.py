"""Figures of synthetic sweeps, and what tests read from a drawing."""

from pathlib import Path

from matplotlib.axes import Axes

from resomap.analysis.tables import read_tables
from resomap.report.figures.draw import draw_figures
from resomap.report.figures.panels import StoredImages
from resomap.report.figures.style import Drawing
from resomap.system import files
from tests.synthetic import Sweep, aggregate


def stored_images(folder: Path) -> StoredImages:
    """Return the test images of the results in `folder`."""
    return StoredImages(files.read_json(folder / "data/manifest.json"), folder / "data")


def draw_sweep(folder: Path, sweep: Sweep, *, explain: bool = True) -> Path:
    """Write the results, tables and figures of a sweep; return the folder of the figures."""
    aggregate(folder, sweep)
    return draw_tables(folder, explain=explain)


def draw_tables(folder: Path, *, explain: bool = True) -> Path:
    """Write the figures of the tables in `folder`; return the folder of the figures."""
    draw_figures(
        read_tables(folder / "tables"),
        stored_images(folder),
        folder / "runs",
        folder / "figures",
        explain=explain,
        confidence=0.95,
    )
    return folder / "figures"


def find_panel(drawing: Drawing, heading: str) -> Axes:
    """Return the first panel whose heading starts with `heading`."""
    axes = drawing.figure.axes
    return next(panel for panel in axes if panel.get_title(loc="left").startswith(heading))


def texts_of(axes: Axes) -> list[str]:
    """Return the texts written into a panel."""
    return [text.get_text() for text in axes.texts]


def note_of(drawing: Drawing) -> str:
    """Return title and note of a figure."""
    return " ".join(text.get_text() for text in drawing.figure.texts)
