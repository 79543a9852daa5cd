"""The large sweep of benchmarks/large_tables.py, made small."""

from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import large_tables
from resomap.system.files import read_json

SMALL = {"MODELS": ("model00", "model01"), "RESOLUTIONS": (32, 64), "SEEDS": (0, 1)}


def test_decision_reads_any_share_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SMALL.items():
        monkeypatch.setattr(large_tables, name, value)
    options = Namespace(rounds=1, val=160, test=240)
    section = large_tables.run_decision(options, tmp_path)
    assert [line.split(" | ")[0] for line in section.splitlines()[-4:]] == [
        f"| {share}%" for share in (25, 50, 75, 100)
    ]
    folder = large_tables.prepare(tmp_path, 160, 240)
    large_tables.aggregate(str(folder))
    choice = read_json(folder / "results" / "tables" / "choice.json")
    assert choice["baseline"]["n_test"] == 240
    assert choice["baseline"]["cells"] == choice["baseline"]["cells_above"] == 4
