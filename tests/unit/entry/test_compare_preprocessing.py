"""Other preprocessings of one exported cell, from its networks to the limit."""

import csv
import json

import numpy as np
import pytest

from resomap.analysis.predictions import Cell
from resomap.deploy.preprocessing_parity import measure_preprocessing
from resomap.entry import compare_preprocessing
from resomap.errors import ResoMapError
from resomap.shipping.runs import open_run
from resomap.system.files import write_rows
from resomap.workflow.jobs import (
    CheckPreprocessing,
    ComparePreprocessing,
    TabulatePreprocessing,
)
from resomap.workflow.layout import table_columns
from tests.exported_sweep import write_exported_sweep
from tests.optional_packages import require_packages
from tests.parity_tables import parity_rows
from tests.small_sweep import MODEL, SEEDS, SIDE
from workflow_scripts import check_preprocessing, tabulate_preprocessing

require_packages("onnx", "onnxruntime", "onnxscript")

CONFIDENCE = 0.95


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    return write_exported_sweep(folder), folder / "results"


def compare(sweep, table, networks=None):
    config, results = sweep
    job = ComparePreprocessing(
        code="",
        data=config.data,
        data_code="",
        architecture=next(model for model in config.models if model.name == MODEL),
        resolution=SIDE,
        eval_resolution=SIDE,
        seeds=SEEDS,
        compared_precision="fp32",
        confidence=CONFIDENCE,
    )
    runs = [f"custom/{MODEL}/r{SIDE}/seed{seed}" for seed in SEEDS]
    exported = [results / "deploy" / run / f"at{SIDE}" / "fp32.onnx" for run in runs]
    compare_preprocessing.main(
        job,
        data=results / "data" / "manifest.json",
        weights=tuple(results / "checkpoints" / run / "best.safetensors" for run in runs),
        networks=tuple(networks or exported),
        table=table,
        threads=1,
    )
    with table.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_exported_networks_flip_as_those_in_torch(sweep, tmp_path, capsys):
    rows = compare(sweep, tmp_path / "parity.csv")
    source = open_run(sweep[1], sweep[0], Cell("custom", MODEL, SIDE), SIDE)
    expected = measure_preprocessing(
        np.array(source.images),
        source.labels,
        source.preprocessing,
        source.networks,
        CONFIDENCE,
    )
    assert [row["preprocessing"] for row in rows] == [each.name for each in expected]
    for row, each in zip(rows, expected, strict=True):
        assert (row["n_seeds"], row["n"], row["train_resolution"]) == ("2", "90", str(SIDE))
        # One answer of 180 may stand on the edge.
        assert float(row["flipped"]) == pytest.approx(each.flips, abs=1.5 / 180)
    own = rows[0]
    assert (float(own["flipped"]), float(own["accuracy_lost"])) == (0, 0)
    assert [row["preprocessing"] for row in rows if row["judged"] == "True"] == [
        *("as trained", "torch bilinear antialias", "onnxruntime linear antialias"),
        *("JPEG by OpenCV", "JPEG by torchvision"),
    ]
    printed = capsys.readouterr().out
    assert (
        f"{MODEL} at {SIDE} px, given images of {SIDE} px: 90 test images, 2 seeds" in printed
    )
    assert "to do what the training did" in printed


def test_cell_without_a_deployable_network_has_no_rows(sweep, tmp_path):
    empty = tmp_path / "fp32.onnx"
    empty.write_bytes(b"")
    assert compare(sweep, tmp_path / "none.csv", [empty, empty]) == []
    results = sweep[1] / f"deploy/custom/{MODEL}/r{SIDE}"
    one = [empty, results / f"seed1/at{SIDE}/fp32.onnx"]
    assert {row["n_seeds"] for row in compare(sweep, tmp_path / "one.csv", one)} == {"1"}


def write_part(path, flips, **cell):
    write_rows(path, parity_rows(flips, **cell), table_columns("cell_parity"))
    return path


def test_tables_of_cells_are_joined_and_drawn(tmp_path, capsys):
    flips = {"torch bilinear antialias": 0.03, "JPEG by OpenCV": None}
    parts = (
        write_part(tmp_path / "a.csv", flips),
        write_part(tmp_path / "b.csv", {}, model="007"),
        tmp_path / "c.csv",
    )
    write_rows(parts[2], [], table_columns("cell_parity"))
    table = tmp_path / "tables" / "preprocessing_parity.csv"
    job = TabulatePreprocessing(code="", confidence=CONFIDENCE)
    tabulate_preprocessing.main(job, parts=parts, table=table, figures=tmp_path / "figures")
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["model"] for row in rows] == ["tiny_cnn"] * 6 + ["007"] * 6
    assert tuple(rows[0]) == table_columns("preprocessing_parity")
    assert (tmp_path / "figures" / "preprocessing_parity.png").stat().st_size > 0
    assert "torch bilinear antialias, which means to do" in capsys.readouterr().out
    tabulate_preprocessing.main(job, parts=parts[2:], table=table, figures=tmp_path / "figures")
    assert len(table.read_text().splitlines()) == 1


def test_cells_are_listed_by_model_and_size_in_whatever_order_they_were_made(tmp_path):
    cells = [("tiny_cnn", 48), ("007", 48), ("tiny_cnn", 24), ("007", 24)]
    parts = tuple(
        write_part(tmp_path / f"{model}{side}.csv", {}, model=model, train_resolution=side)
        for model, side in cells
    )
    job = TabulatePreprocessing(code="", confidence=CONFIDENCE)
    table = tmp_path / "table.csv"
    tabulate_preprocessing.main(job, parts=parts, table=table, figures=tmp_path / "figures")
    with table.open(newline="") as stream:
        found = [(row["model"], int(row["train_resolution"])) for row in csv.DictReader(stream)]
    assert list(dict.fromkeys(found)) == [
        *(("tiny_cnn", 24), ("tiny_cnn", 48), ("007", 24), ("007", 48)),
    ]


def test_limit_lists_every_cell_that_exceeds_it(tmp_path):
    flips = {"torch bilinear antialias": 0.03, "JPEG by OpenCV": None, "BGR for RGB": 0.9}
    table, record = write_part(tmp_path / "table.csv", flips), tmp_path / "limits.json"
    with pytest.raises(ResoMapError) as caught:
        check_preprocessing.main(CheckPreprocessing(code="", max_flips=0.01), table, record)
    first, line = str(caught.value).splitlines()
    assert first == f"{table}: too many answers change"
    assert "torch bilinear antialias changes 3 % of 200 answers" in line
    assert not record.exists()
    for limit in (0.03, None):
        check_preprocessing.main(CheckPreprocessing(code="", max_flips=limit), table, record)
        assert json.loads(record.read_text()) == {
            "max_flips": limit,
            "judged": 1,
            "not_measured": ["JPEG by OpenCV"],
        }
