import pandas as pd

from resomap.analysis.tables import Tables
from resomap.report.figures.confusion import MAX_CLASSES, plot_confusion
from tests.drawings import note_of


def many_classes(tables: Tables, count: int) -> Tables:
    """Return tables of `count` classes; the last two are taken for each other."""
    rows = []
    for index in range(count):
        key = {
            "family": "custom",
            "model": "simple_cnn",
            "resolution": 48,
            "n_seeds": 1,
            "n": 10,
        }
        other = {count - 1: count - 2, count - 2: count - 1}.get(index)
        right = 10 if other is None else 4
        pairs = [(index, right)] if other is None else [(index, right), (other, 6)]
        for predicted, number in pairs:
            names = {"class": f"class {index}", "predicted": f"class {predicted}"}
            rows.append({**key, **names, "count": number})
    return Tables(**{**vars(tables), "confusion": pd.DataFrame(rows)})


def test_panels_show_shares_of_each_resolution(tables):
    drawing = plot_confusion(tables)
    headings = [axes.get_title(loc="left") for axes in drawing.figure.axes]
    assert [heading for heading in headings if heading.endswith("px")] == [
        f"{px} px" for px in sorted(set(tables.cells["resolution"]))
    ]
    assert "most frequent confusion" in drawing.title


def test_of_many_classes_those_with_errors_are_drawn(tables):
    drawing = plot_confusion(many_classes(tables, 60))
    names = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert len(names) == MAX_CLASSES
    assert {"class 58", "class 59"} <= set(names)
    assert "The 20 of 60 classes" in note_of(drawing)


def test_class_that_is_only_predicted_is_drawn(tables):
    confusion = tables.confusion.copy()
    wrong = confusion["class"] != confusion["predicted"]
    confusion.loc[confusion[wrong].index[0], "predicted"] = "unseen"
    drawing = plot_confusion(Tables(**{**vars(tables), "confusion": confusion}))
    names = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert names[-1] == "unseen"
