import numpy as np
import pytest

from resomap.data.sources.boxes import draw_boxes, parse_box
from resomap.data.sources.decode import BadImageError, FileReader
from resomap.data.sources.listing import Box, ImageFile
from resomap.errors import ConfigError
from tests.image_files import noise, save

SIZE = (20, 16)
KEYS = ("xmin", "ymin", "xmax", "ymax")


def parse(*values):
    return parse_box(dict(zip(KEYS, map(str, values), strict=True)), 5, "list.csv, line 5")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.1, 0.2, 0.6, 0.9), "fractions"),
        ((0, 0, 1, 1), "fractions"),
        ((5, 2, 3, 4), "empty"),
        ((2, 2, 2, 4), "empty"),
        (("nan", 2, 3, 4), "no position"),
        ((1, 2, "inf", 4), "no position"),
        (("-inf", 2, 3, 4), "no position"),
        ((1e18, 6, 1e19, 20), "no position"),
        ((1, 2, "", 4), "four numbers"),
        ((1, 2, "3 px", 4), "four numbers"),
    ],
)
def test_impossible_box_is_refused_with_its_line(values, message):
    with pytest.raises(ConfigError, match=rf"list.csv, line 5: .*{message}"):
        parse(*values)


def test_blank_cells_are_no_box():
    assert parse("", "", "", "") == ()


@pytest.mark.parametrize(
    ("box", "columns", "rows"),
    [
        ((5, 4, 15, 12), (5, 14), (4, 11)),
        ((4.6, 3.6, 15.4, 12.4), (5, 14), (4, 11)),
        ((-5, -3, 6, 6), (0, 5), (0, 5)),
        ((15, 10, 99, 99), (15, 19), (10, 15)),
        ((-9, -9, 99, 99), (0, 19), (0, 15)),
        ((5.6, 6, 6.4, 12), (6, 6), (6, 11)),
        ((19.7, 15.7, 19.9, 15.9), (19, 19), (15, 15)),
        ((-3, 2, 0.2, 4), (0, 0), (2, 3)),
    ],
)
def test_box_is_drawn_clipped_and_at_least_a_pixel_wide(box, columns, rows):
    mask = np.asarray(draw_boxes([Box(*box)], SIZE))
    y, x = np.nonzero(mask)
    assert (x.min(), x.max(), y.min(), y.max()) == (*columns, *rows)
    assert len(x) == (columns[1] - columns[0] + 1) * (rows[1] - rows[0] + 1)


@pytest.mark.parametrize("box", [(30, 2, 40, 4), (-9, 2, -3, 4), (2, 16, 4, 20), (2, -9, 4, 0)])
def test_box_outside_its_image_is_named_with_file_and_line(tmp_path, box):
    path = save(tmp_path / "a.png", noise(1))
    file = ImageFile(str(path), None, (Box(1, 1, 3, 3, 4), Box(*box, 5)), "list.csv")
    with pytest.raises(
        BadImageError, match=r"outside its 20 x 16 pixels \(line 5\) of list.csv"
    ):
        FileReader()(file)


def test_box_over_the_edge_is_noted(tmp_path):
    path = save(tmp_path / "a.png", noise(1))
    notes = {}
    for right in (20, 20.4, 26):
        file = ImageFile(str(path), None, (Box(1, 1, right, 3),))
        notes[right] = FileReader()(file).notes
    assert notes == {20: (), 20.4: (), 26: ("clipped box",)}
