from pathlib import Path

import pandas as pd
import pytest

from resomap.report.figures.draw import draw_data_figures
from tests.dataset_facts import facts_of


def test_figure_data_equals_dataset_facts(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, mask=False)
    draw_data_figures(facts, [24, 48], tmp_path / "figures")
    read = {path.stem: pd.read_csv(path) for path in (tmp_path / "figures").glob("*.csv")}
    assert read["class_balance"][["train", "val", "test"]].sum().tolist() == [1600, 24, 40]
    for _, rows in read["picture_sizes"].groupby("quantity"):
        assert rows["pictures"].sum() == 1664
        assert rows["share_at_most"].iloc[-1] == pytest.approx(1)
    lost = read["information_by_resolution"].set_index("resolution_px")
    kept = facts.energy_kept(24)
    assert lost.loc[24, "all pictures"] == pytest.approx(1 - kept[0])
    assert lost.loc[24, "ray-stripes"] == pytest.approx(1 - kept[8])
    assert read["contact_sheet"]["pictures_shown"].tolist() == [3] * 8
