"""The target `deploy` and its limit."""

import json

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
    assert finished.planned_jobs() == {}
    planned = finished.planned_jobs(deploying(0.0), target="deploy")
    assert planned == {
        "export_run": 2,
        "compare_exports": 1,
        "compare_preprocessing": 2,
        "tabulate_preprocessing": 1,
        "check_preprocessing": 1,
    }
    assert finished.planned_jobs(deploying(0.0)) == {}
