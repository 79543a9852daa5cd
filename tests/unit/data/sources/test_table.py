import pytest

from resomap.data.sources.table import read_table
from resomap.errors import ConfigError


def read(folder, text, encoding="utf-8"):
    path = folder / "list.csv"
    path.write_text(text, encoding=encoding)
    return read_table(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.png,bee, honey\n", r"line 2: 3 cells, and the header has 2"),
        ("path,label,group\na.png,bee,x\nb.png,ant\n", r"line 3: 2 cells, .* has 3"),
        ('path,label\na.png,"bee\nb.png,ant\n', r"line 2: a quotation mark is open"),
        ('path,label\na.png,"bee\nb.png,"ant"\nc.png,bee\n', r"line 2"),
        ('path,label\na.png,"bee\nb.png,ant"\n', r"line 2, column label: .* several lines"),
        ("path,label,label\na.png,x,y\n", r"line 1: two columns are called label and label"),
        ("path,Label,label\na.png,x,y\n", r"line 1: two columns are called Label and label"),
        ("path;label\na.png;x\n", r"separated by semicolons"),
        ("path\tlabel\na.png\tx\n", r"separated by tabs"),
        ("images/a.png,ant\nimages/b.png,bee\n", r"line 1: the header is missing"),
        ("path,label,groups\na.png,x,y\n", r"line 1: the column 'groups' is .* mean group"),
        ("path,label,xmin,xmax\na.png,x,1,2\n", r"line 1: a box needs .* only xmin, xmax"),
        ("path,label,x1,y1,x2,y2\na.png,x,1,2,3,4\n", r"line 1: the column 'x1' .* mean xmin"),
        ("path,label,subset\na.png,x,train\n", r"line 1: the column 'subset' .* mean split"),
        ("filename,class\na.png,x\n", r"rename filename to path, rename class to label\?"),
        ("path,label\na.png,x\0\n", r"line 2, column label: .* zero byte"),
        ("path,label\na.png,nan\n", r"line 2: label is nan"),
        ("path,label\n,x\n", r"line 2: path or label is blank"),
        ("path,label\n\n", r"lists no image"),
    ],
)
def test_table_that_loses_cells_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert "list.csv" in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "Path,LABEL,Split,Group,Xmin",
        "path,label,split,group,x_min",
        " path , label ,SPLIT, group,X-Min",
    ],
)
def test_columns_are_known_in_other_spelling(tmp_path, header):
    header += ",ymin,Xmax,y_max"
    [(line, row)] = read(tmp_path, f"{header}\na.png,ant,train,p1,1,2,3,4\n").rows
    assert line == 2
    assert row == {
        "path": "a.png",
        "label": "ant",
        "split": "train",
        "group": "p1",
        "xmin": "1",
        "ymin": "2",
        "xmax": "3",
        "ymax": "4",
    }


def test_other_columns_are_named(tmp_path):
    table = read(tmp_path, "Unnamed: 0,path,label,doctor,\n1,a.png,ant,Who,\n")
    assert table.unused_columns == ["Unnamed: 0", "doctor"]


def test_cells_without_value_are_blank(tmp_path):
    text = "path,label,group,xmin,ymin,xmax,ymax\na.png,none,nan,NaN,<NA>,None,null\n"
    [(_, row)] = read(tmp_path, text).rows
    assert set(row.values()) == {"a.png", "none", ""}


def test_quoted_comma_and_mark_are_kept(tmp_path):
    [(_, row)] = read(tmp_path, 'path,label\n"a, b.png","5"" nail, ""x"""\n').rows
    assert (row["path"], row["label"]) == ("a, b.png", '5" nail, "x"')


def test_line_numbers_count_blank_and_broken_lines(tmp_path):
    text = 'note,path,label\n"two\nlines",a.png,x\n\nn,b.png,y\n'
    assert [line for line, _ in read(tmp_path, text).rows] == [2, 5]


def test_other_encoding_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read as CSV in UTF-8"):
        read(tmp_path, "path,label\ná.png,x\n", encoding="latin-1")
