from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

from resomap.analysis.tables import Tables, read_tables
from resomap.report.figures.agreement import plot_agreement
from tests.drawings import find_panel, note_of, texts_of
from tests.synthetic import Sweep, aggregate

DASH = "\N{EN DASH}"


def test_cells_hold_normalised_values_and_intervals(tables: Tables) -> None:
    texts = texts_of(find_panel(plot_agreement(tables), "Integrated Gradients"))
    assert texts[:4] == ["0.55", "0.64", f"0.58{DASH}0.70", "0.55"]
    numbers = [line.split()[-1] for line in texts[-1].splitlines()[1:]]
    assert numbers == ["0.28", "0.45", "0.10", "0.05"]


def test_undefined_agreement_is_hatched(tables: Tables) -> None:
    rows = tables.agreement
    blank = rows.assign(normalised=rows["normalised"].mask(rows["high"] == 96))
    axes = find_panel(plot_agreement(replace(tables, agreement=blank)), "Grad-CAM")
    assert sum(patch.get_hatch() is not None for patch in axes.patches) == 2
    assert texts_of(axes).count(DASH) == 2


def test_colour_is_clipped_at_the_ceiling(tables: Tables) -> None:
    rows = tables.agreement
    above = rows.assign(normalised=rows["normalised"].where(rows["normalised"].isna(), 1.7))
    axes = find_panel(plot_agreement(replace(tables, agreement=above)), "Grad-CAM")
    assert "1.70" in texts_of(axes)
    colours = [patch.get_facecolor() for patch in axes.patches]
    assert mpl.colormaps["crest"](1.0) in colours


def test_one_seed_shows_raw_agreement(tmp_path: Path) -> None:
    sizes = {"resolutions": (24, 48), "test": 40, "val": 24, "native": 48}
    aggregate(tmp_path, Sweep(models=("simple_cnn",), seeds=(0,), **sizes))
    drawing = plot_agreement(read_tables(tmp_path / "tables"))
    assert "0.39" in texts_of(find_panel(drawing, "Grad-CAM"))
    assert "one seed" in note_of(drawing)
