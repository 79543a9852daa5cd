"""Turned rankings, ratios and the page of benchmarks/deploy.py."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import deploy
from resomap.profiling.timing import Round, Timing
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime", "openvino")


def timings(eager: float, runtime: float) -> dict:
    logs = [float(np.log(runtime / eager))] * 5
    values = {"eager": eager, **dict.fromkeys(deploy.VARIANTS[1:], runtime)}
    return {
        name: {"ms": value, "over_reference": value, "valid": True, "log_ratios": logs}
        for name, value in values.items()
    }


def records(*pairs: tuple[float, float]) -> list[dict]:
    parity = {"largest_difference": 1e-6, "flips": 0, "deployable": True}
    cell = {"px": 64, "parity": parity, "export_s": 1.0, "quantise_s": 2.0}
    cell |= {"bytes": 2**20, "int8_bytes": 2**18}
    return [
        {
            "model": f"net{number}",
            "load": 0.5,
            "runtimes": {"onnxruntime": {"version": "1"}, "openvino": {"version": "2"}},
            "cells": [cell | {"variants": timings(*pair)}],
        }
        for number, pair in enumerate(pairs)
    ]


def test_pairs_that_change_places_are_counted():
    # The first two turn clearly, the last turns with neither of them, and with none by 10 %.
    made = records((1.0, 4.0), (2.0, 1.0), (2.1, 4.1))
    rows = {row[0]: row[1:] for row in deploy.turn_rows(made)}
    assert rows["onnxruntime"] == ("3", "1", "33.3%", "1", "1")


def test_gains_are_ratios_to_eager_and_to_float32():
    rows = list(deploy.gain_rows(records((2.0, 1.0), (2.0, 3.0))))
    assert rows[0] == ("onnxruntime", "eager", "1.00 (0.50-1.50)", "1 of 2")
    assert rows[-1][:2] == ("openvino-int8", "openvino")


def test_ratio_pairs_undisturbed_rounds_of_one_pass():
    def timing(*passes: tuple[float, str | None]) -> Timing:
        rounds = [Round([ms], 1.0, 1.0, disturbed=why) for ms, why in passes]
        return Timing(needed=2, passes=rounds)

    eager = timing((4.0, None), (8.0, "crowded"), (4.0, None), (4.0, None))
    runtime = timing((2.0, None), (2.0, None), (1.0, "crowded"), (1.0, None))
    record = deploy._timing_record(runtime, eager)
    assert np.exp(record["log_ratios"]) == pytest.approx([0.5, 0.25])
    assert record["valid"]


def test_statistics_of_norms_are_those_of_images():
    images = 3 + 2 * torch.randn(50, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    norm = nn.BatchNorm2d(3)
    deploy.calibrate_norms(norm, [images.numpy()])
    assert norm.running_mean.numpy() == pytest.approx([3, 3, 3], abs=0.2)
    assert norm.running_var.numpy() == pytest.approx([4, 4, 4], abs=0.5)
    assert (norm.momentum, norm.training) == (0.1, False)


def test_page_names_networks_that_are_not_proven(tmp_path):
    made = records((2.0, 1.0), (2.0, 3.0))
    made[1]["cells"][0]["parity"] = {
        "largest_difference": 0.2,
        "flips": 7,
        "deployable": False,
    }
    deploy.write_page(tmp_path / "deploy.md", made, rounds=9)
    page = (tmp_path / "deploy.md").read_text()
    assert "Not proven: net1 at 64 px." in page
    assert "| net0 | 64 | 1e-06, 0 | 1.0 | 2.0 | 1.00 | 0.25 | 2.00 | 1.00 |" in page
    assert "0.50 (0.50-0.50, n = 5)" in page
