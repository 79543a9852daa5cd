"""Tables read back: names stay text, whatever they look like."""

from pathlib import Path

import pytest

from resomap.workflow.checked_tables import read_table


@pytest.mark.parametrize("name", ["0", "007", "1e3", "NA", "True", "inf", "3.10"])
def test_class_that_looks_like_number_stays_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / "confusion.csv"
    path.write_text(f"class,predicted,group,code,count\n{name},{name},,{name},2\n")
    table = read_table(path)
    assert table["class"].tolist() == table["predicted"].tolist() == [name]
    assert table["code"].tolist() == [name]
    assert table["group"].isna().all()
    assert table["count"].tolist() == [2]


def test_options_replace_kinds_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "pictures.csv"
    path.write_text("source,width\n1,2\n")
    assert read_table(path, dtype=str)["width"].tolist() == ["2"]
