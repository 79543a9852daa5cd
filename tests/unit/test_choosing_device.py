"""`resomap choose --device`: planted device files turn the choice as computed by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from resomap.cli import app
from tests.device_files import planted_measurement, planted_network, write_measurement
from tests.planted_exports import PlantedCell, plant_accuracies, plant_int8
from tests.recorded_sweeps import RecordedDirectory, small_sweep

MODELS, SIZES, SEEDS = ("tiny_cnn", "simple_cnn"), (24, 48, 96), (0, 1)
FP32 = {
    ("tiny_cnn", 24): 0.80,
    ("tiny_cnn", 48): 0.940,
    ("tiny_cnn", 96): 0.949,
    ("simple_cnn", 24): 0.85,
    ("simple_cnn", 48): 0.945,
    ("simple_cnn", 96): 0.95,
}
# tiny_cnn at 96 px quantises badly.
INT8 = {
    ("tiny_cnn", 24): 0.79,
    ("tiny_cnn", 48): 0.938,
    ("tiny_cnn", 96): 0.90,
    ("simple_cnn", 24): 0.84,
    ("simple_cnn", 48): 0.943,
    ("simple_cnn", 96): 0.948,
}
Network = tuple[PlantedCell, str]
"""A cell and a precision."""
ACCURACY: dict[Network, float] = {
    **{(cell, "fp32"): value for cell, value in FP32.items()},
    **{(cell, "int8"): value for cell, value in INT8.items()},
}
DEVICES = [f"board{number}" for number in range(20)]
STEP = 1.4
"""Ratio of neighbouring latencies, far beyond what rounds that differ by 2 % leave open."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = [f"{name}.json" for name in (*DEVICES, "pi5", "half")]
    deploy = {"runtimes": ["onnxruntime"], "precisions": ["fp32", "int8"], "cells": "all"}
    deploy |= {"max_flips": None, "measurements": files}
    sweep = small_sweep(models=MODELS, resolutions=SIZES, modes=("raw",))
    recorded = RecordedDirectory(
        tmp_path_factory.mktemp("sweep"), sweep, {"system": {"deploy": deploy}}
    )
    folder = recorded.write()
    plant_accuracies(folder / "results", FP32, SEEDS)
    plant_int8(folder / "results", INT8, SEEDS)
    return folder


def write_device(
    directory: Path, name: str, latencies: dict[Network, float], **changes: Any
) -> None:
    """Write the file of a device; `changes` by network are those of its record."""
    networks = []
    for ((model, px), precision), latency in latencies.items():
        network = planted_network(("custom", model, px), precision, latency)
        change = changes.get("of", {}).get(((model, px), precision), {})
        timing = change.pop("timing", {})
        network |= change
        if network["status"] != "ok":
            network["timing"] = None
        else:
            network["timing"] |= timing
        networks.append(network)
    record = planted_measurement(directory / "results", networks)
    write_measurement(directory / f"{name}.json", record)


def run(directory: Path, *flags: str) -> Any:
    return CliRunner().invoke(app, ["choose", str(directory), *flags])


def record(directory: Path, *flags: str) -> dict[str, Any]:
    output = run(directory, *flags, "--json").output
    values: dict[str, Any] = json.loads(output)
    return values


def network_of(summary: dict[str, Any]) -> Network:
    assert summary["variant"] == "onnxruntime"
    precision = "int8" if summary["mode"] == "int8" else "fp32"
    return (summary["model"], summary["resolution"]), precision


def choose_by_hand(latencies: dict[Network, float], allowed: set[Network]) -> Network:
    """Return the fastest network within two points of the most accurate that is allowed.

    Planted accuracies differ by at most 1.2 points or by at least 3.7 of them.
    """
    best = max(ACCURACY[network] for network in allowed)
    good = [network for network in allowed if ACCURACY[network] > best - 0.02]
    return min(good, key=lambda network: latencies[network])


def plan_device(number: int) -> tuple[dict[Network, float], set[Network], dict[str, Any]]:
    """Draw the latencies of a device, what is measured there, and a budget of the question."""
    rng = np.random.default_rng(number)
    ladder = [0.5 * STEP**step for step in range(len(ACCURACY))]
    networks = list(ACCURACY)
    order = [networks[place] for place in rng.permutation(len(networks))]
    latencies = dict(zip(order, ladder, strict=True))
    for cell in FP32:
        pair = sorted((latencies[cell, "fp32"], latencies[cell, "int8"]))
        # On some devices int8 is slower everywhere, on some faster, on others it depends.
        if number % 3 == 0:
            latencies[cell, "fp32"], latencies[cell, "int8"] = pair
        elif number % 3 == 1:
            latencies[cell, "int8"], latencies[cell, "fp32"] = pair
    measured = set(networks)
    if number % 2:
        measured = {network for network in networks if rng.random() < 0.6}
        measured |= {order[number % len(order)]}
    budget = ladder[int(rng.integers(3, 10))] * 1.1 * STEP**0.5 if number % 4 >= 2 else None
    return latencies, measured, {"budget": budget, "rng": rng}


@pytest.mark.parametrize("number", range(20))
def test_planted_device_turns_the_choice_as_computed_by_hand(
    directory: Path, number: int
) -> None:
    latencies, measured, plan = plan_device(number)
    changes: dict[Network, dict[str, Any]] = {}
    wrong = set()
    if number % 5 == 0:
        wrong = {sorted(measured)[0]}
        changes |= {each: {"status": "wrong answers", "why": "planted"} for each in wrong}
    if number % 5 == 1:
        disturbed = sorted(measured)[-1]
        changes[disturbed] = {"timing": {"valid": False, "why_invalid": "planted"}}
    write_device(
        directory,
        DEVICES[number],
        {network: latencies[network] for network in sorted(measured)},
        of=changes,
    )
    flags = ["--device", DEVICES[number]]
    allowed = measured - wrong
    if plan["budget"] is not None:
        flags += ["--max-latency-ms", str(plan["budget"])]
        # The file has p90 a tenth above the median.
        allowed = {each for each in allowed if 1.1 * latencies[each] < plan["budget"]}
    answer = record(directory, *flags)
    assert answer["device"] == DEVICES[number]
    if not allowed:
        assert (answer["status"], answer["choice"]) == ("none", None)
        return
    expected = choose_by_hand(latencies, allowed)
    assert network_of(answer["choice"]) == expected
    assert answer["choice"]["latency_ms_p50"] == pytest.approx(latencies[expected])
    named = {
        ((one["model"], one["resolution"]), "int8" if one["mode"] == "int8" else "fp32")
        for one in answer["unmeasured"]
    }
    assert named == set(ACCURACY) - (measured - wrong)
