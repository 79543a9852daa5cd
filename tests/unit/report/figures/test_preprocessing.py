import numpy as np

from resomap.report.figures.draw import draw_parity
from resomap.report.figures.preprocessing import MAX_CELLS, plot_preprocessing
from tests.parity_tables import parity_frame, parity_rows

FLIPS = {"torch bilinear antialias": 0.03, "OpenCV linear": 0.4, "BGR for RGB": 0.6}


def test_every_measured_preprocessing_has_a_row_and_a_dot_a_cell():
    missing = FLIPS | {"JPEG by OpenCV": None}
    table = parity_frame(parity_rows(missing), parity_rows(missing, eval_resolution=48))
    drawing = plot_preprocessing(table, 0.95)
    left, right = drawing.figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == [
        "torch bilinear antialias",
        "JPEG by Pillow",
        "OpenCV linear",
        "BGR for RGB",
    ]
    heads = [text.get_text() for text in left.texts]
    assert heads[0] == "means to do the same"
    assert len(heads) == 4
    dots = [line for line in left.lines if len(line.get_xdata()) == 4]
    assert len(dots) == 2
    assert np.allclose(dots[0].get_xdata(), [0.03, 0.0, 0.4, 0.6])
    # The cells stand beside each other.
    assert (dots[0].get_ydata() < dots[1].get_ydata()).all()
    points = [line for line in right.lines if len(line.get_xdata()) == 4]
    assert np.allclose(points[0].get_xdata(), [1.5, 0, 20, 30])
    labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert labels == ["tiny_cnn at 24 px", "tiny_cnn at 24 px, given 48 px"]


def test_cells_that_change_most_are_drawn_where_there_are_many():
    cells = [
        parity_rows({"torch bilinear antialias": number / 100}, model=f"net{number}")
        for number in range(MAX_CELLS + 3)
    ]
    drawing = plot_preprocessing(parity_frame(*cells), 0.95)
    labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert labels == [f"net{number} at 24 px" for number in range(3, MAX_CELLS + 3)]
    assert any("6 of 9 cells" in text.get_text() for text in drawing.figure.texts)


def test_figure_is_written_even_without_a_measured_cell(tmp_path):
    table = parity_frame(parity_rows({}))
    draw_parity(table, tmp_path, 0.95)
    draw_parity(table[:0].astype({"judged": bool}), tmp_path / "empty", 0.95)
    for folder in (tmp_path, tmp_path / "empty"):
        names = {path.name for path in folder.iterdir() if path.is_file()}
        assert names == {f"preprocessing_parity.{kind}" for kind in ("svg", "png", "csv")}
