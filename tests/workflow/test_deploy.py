"""The target `deploy`, its limit, and damaged files of it."""

import json
import shutil
from dataclasses import replace

import pytest

from resomap.system.files import write_rows
from resomap.workflow.layout import table_columns
from tests.optional_packages import require_packages
from tests.parity_tables import parity_rows

require_packages("onnx", "onnxruntime", "onnxscript")

TABLE = "results/tables/preprocessing_parity.csv"
LIMITS = "results/deploy/limits.json"


def deploying(max_flips):
    deploy = {"runtimes": ["onnxruntime"], "precisions": ["fp32"], "cells": "all"}
    return {"system": {"deploy": {**deploy, "max_flips": max_flips, "measurements": []}}}


@pytest.mark.parametrize("max_flips", [0.01, None])
def test_table_survives_a_limit_that_fails_the_target(checkout, max_flips):
    rows = parity_rows({"torch bilinear antialias": 0.03})
    table = checkout.path / TABLE
    write_rows(table, rows, table_columns("preprocessing_parity"))
    content = table.read_bytes()
    options = (LIMITS, "--allowed-rules", "check_preprocessing")
    run = checkout.snakemake(*options, overlay=deploying(max_flips))
    printed = run.stdout + run.stderr
    assert table.read_bytes() == content
    if max_flips is None:
        assert run.returncode == 0, printed
        assert json.loads((checkout.path / LIMITS).read_text())["max_flips"] is None
    else:
        assert run.returncode != 0
        assert "given 24 px: torch bilinear antialias changes 3 % of 200 answers" in printed
        assert not (checkout.path / LIMITS).exists()


def test_exports_are_compared_held_to_the_limit_and_no_part_of_a_sweep(finished):
    assert finished.planned_jobs(fork=True) == {}
    planned = finished.planned_jobs(deploying(0.0), target="deploy", fork=True)
    assert planned == {
        "export_run": 2,
        "compare_exports": 1,
        "compare_preprocessing": 2,
        "tabulate_preprocessing": 1,
        "check_preprocessing": 1,
    }
    assert finished.planned_jobs(deploying(0.0), fork=True) == {}


def copy_checkout(checkout, folder):
    shutil.copytree(checkout.path, folder / "resomap", copy_function=shutil.copy2)
    return replace(checkout, path=folder / "resomap")


@pytest.fixture(scope="module")
def deployed(finished, tmp_path_factory):
    checkout = copy_checkout(finished, tmp_path_factory.mktemp("deployed"))
    run = checkout.snakemake("deploy", overlay=deploying(None))
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout


def test_deployed_sweep_has_nothing_to_do(deployed):
    assert deployed.planned_jobs(deploying(None), target="deploy") == {}
    rows = (deployed.path / "results/tables/deploy.csv").read_text().splitlines()
    assert len(rows) == 3  # a header, and a row for each of two cells


EXPORT = "results/deploy/custom/tiny_cnn/r24/seed0/at24"
READERS = {
    f"{EXPORT}/export.json": "results/tables/deploy.csv",
    f"{EXPORT}/logits.npz": "results/tables/deploy.csv",
    f"{EXPORT}/fp32.onnx": "results/deploy/custom/tiny_cnn/r24/preprocessing/at24.csv",
    "results/deploy/custom/tiny_cnn/r24/preprocessing/at24.csv": TABLE,
    TABLE: LIMITS,
}
"""Files of the target, and an output of the next job that reads each."""


@pytest.mark.parametrize("name", READERS)
def test_damaged_file_is_an_error_that_names_it(deployed, tmp_path, name):
    # A copy each: Snakemake deletes every output of the job that fails.
    checkout = copy_checkout(deployed, tmp_path)
    path = checkout.path / name
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 4
    path.write_bytes(content)
    (checkout.path / READERS[name]).unlink()
    run = checkout.snakemake(READERS[name], overlay=deploying(None))
    assert run.returncode != 0
    assert f"{name} is damaged: delete it and run again" in run.stdout + run.stderr
