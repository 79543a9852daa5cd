from argparse import Namespace

import pandas as pd
import pytest

from benchmarks.alarm import alarm_rows, false_alarms
from benchmarks.explain import run_gradcam, run_methods
from resomap.explain.attribution import METHODS


@pytest.fixture
def options():
    return Namespace(rounds=1, images=16, models=["tiny_cnn"], resolutions=[24])


def read_rows(text):
    """Return the rows of the Markdown table in `text` as dictionaries."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_gradcam_agrees_with_both_libraries(options, tmp_path):
    ours, *theirs = read_rows(run_gradcam(options, tmp_path))
    assert ours["library"] == "resomap"
    assert [(row["library"], row["batch"]) for row in theirs] == [
        ("captum", "16"),
        ("pytorch_grad_cam", "16"),
        ("pytorch_grad_cam", "1"),
    ]
    assert all(float(row["difference"].split(", ")[0]) < 1e-5 for row in theirs)
    assert float(theirs[0]["in float64"]) < 1e-6


def test_every_method_is_timed(options, tmp_path):
    rows = read_rows(run_methods(options, tmp_path))
    assert [row["method"] for row in rows] == list(METHODS)
    assert all(float(row["tiny_cnn, 24 px"]) > 0 for row in rows)


def test_alarms_are_counted_by_resolution_and_group():
    columns = ["group", "accuracy", "share", "holds", "state", "judged"]
    rows = [
        ("medium", 0.9, 0.1, True, "fires", "agrees"),
        ("medium", 0.8, 0.5, True, "silent", None),
        ("fine", 0.5, None, False, "unknown", None),
    ]
    alarms = pd.DataFrame(rows, columns=columns).assign(resolution=24)
    spreads = "0.85 (0.80-0.90)", "0.30 (0.10-0.50)"
    assert list(alarm_rows(alarms)) == [
        (24, "medium", 2, *spreads, 2, 1, 1, 0, "1 of 1"),
        (24, "fine", 1, "0.50", "", 0, 0, 0, 1, "0 of 0"),
    ]
    assert false_alarms(alarms) == "1 of 2 (50.0%, at most 97.5%)"
