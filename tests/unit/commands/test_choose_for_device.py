"""`resomap choose --device`: planted device files turn the choice as computed by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from resomap.cli import app
from resomap.system.files import read_json, write_json
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


@pytest.fixture(scope="module")
def half(directory: Path) -> Path:
    """Write a device that measured the networks at 24 and 48 px; returns the sweep."""
    latencies = {(cell, "fp32"): 1.0 * cell[1] for cell in FP32 if cell[1] < 96}
    latencies |= {(cell, "int8"): 0.4 * cell[1] for cell in INT8 if cell[1] < 96}
    write_device(directory, "half", latencies)
    return directory


def test_costs_of_profiles_are_chosen_by_without_a_device(half: Path) -> None:
    answer = record(half)
    assert (answer["device"], answer["choice"]["variant"]) == (None, None)
    # Profiles measured no network in int8.
    assert {one["mode"] for one in answer["unmeasured"]} == {"int8"}
    assert "pi5" not in run(half).output


def test_answer_names_the_device_and_what_it_did_not_measure(half: Path) -> None:
    output = run(half, "--device", "half").output
    assert "ms per image on half." in output.splitlines()[0]
    assert "All costs were measured on half, and none on the machine of the sweep." in output
    unmeasured = next(line for line in output.splitlines() if line.startswith("Unmeasured"))
    assert "Not measured on half: simple_cnn at 96 px (int8), simple_cnn at 96 px" in unmeasured
    answer = record(half, "--device", "half")
    assert answer["best"]["resolution"] == 48
    assert answer["headline"] in output


def test_answer_tells_what_int8_loses(half: Path) -> None:
    for flags in ((), ("--device", "half")):
        output = run(half, *flags).output
        assert (
            "tiny_cnn at 96 px (int8) loses 4.9 points (interval 4.2 to 5.6) to fp32 on test "
            "images, shown to be more than 2 points: it is not certified."
        ) in output
        kept = {
            (one["model"], one["resolution"]): one["keeps_accuracy"]
            for one in record(half, *flags)["exports"]
        }
        assert kept == {cell: cell != ("tiny_cnn", 96) for cell in FP32}


@pytest.mark.parametrize(
    ("flags", "code", "reason"),
    [
        (("--max-energy-j-per-image", "1"), 4, "its energy per image was not measured"),
        (("--max-model-size-mib", "0.9"), 4, "model size 1 MiB is above 0.9 MiB"),
        (("--max-peak-memory-mib", "49"), 4, "peak memory 50 MiB is above 49 MiB"),
        (("--max-latency-ms", "9"), 4, "p90 latency 10.6 ms is above 9 ms"),
        # MACs are counted, so those of the profiles hold on every device.
        (("--max-macs", "4e6"), 0, "number of MACs 4.95e+06 MACs is above 4e+06 MACs"),
    ],
)
def test_budget_is_compared_with_the_cost_on_the_device(
    half: Path, flags: tuple[str, ...], code: int, reason: str
) -> None:
    assert run(half, "--device", "half", *flags).exit_code == code
    answer = record(half, "--device", "half", *flags)
    reasons = " ".join(one["reason"] for one in answer["excluded"])
    assert reason in reasons
    assert {one["eval_resolution"] for one in answer["excluded"]} <= {24, 48}


def test_disturbed_measurement_on_a_device_is_provisional(directory: Path) -> None:
    network: Network = (("tiny_cnn", 48), "int8")
    latencies = {network: 1.0, (("tiny_cnn", 48), "fp32"): 2.0}
    disturbed = {network: {"timing": {"valid": False, "why_invalid": "planted"}}}
    write_device(directory, "pi5", latencies, of=disturbed)
    answer = record(directory, "--device", "pi5")
    assert network_of(answer["choice"]) == network
    assert answer["headline"].startswith("Provisional")


@pytest.mark.parametrize(("name", "hint"), [("pi6", "; did you mean pi5?"), ("toaster", "")])
def test_unknown_device_is_refused_with_the_known_ones(
    directory: Path, name: str, hint: str
) -> None:
    result = run(directory, "--device", name)
    assert result.exit_code == 1
    first = result.output.splitlines()[0]
    assert first.startswith(f"error: --device '{name}' is no device of config/system.yaml")
    assert first.endswith(f"known are {', '.join([*DEVICES, 'pi5', 'half'])}{hint}")


def test_sweep_without_measurements_has_no_device(tmp_path: Path) -> None:
    folder = RecordedDirectory(tmp_path, small_sweep()).write()
    result = run(folder, "--device", "pi5")
    assert result.exit_code == 1
    assert "system.deploy.measurements: it lists no file" in result.output


def test_missing_and_damaged_files_of_a_device_are_refused(directory: Path) -> None:
    (directory / "pi5.json").unlink(missing_ok=True)
    for content in (None, "{}"):
        if content:
            (directory / "pi5.json").write_text(content)
        result = run(directory, "--device", "pi5")
        assert result.exit_code == 1
        assert "pi5.json" in result.output
        assert "Traceback" not in result.output


def test_files_listed_since_the_sweep_are_read_by_configfile(tmp_path: Path) -> None:
    sweep = small_sweep(modes=("raw",))
    folder = RecordedDirectory(tmp_path, sweep).write()
    cells = {("tiny_cnn", 24): 0.9, ("tiny_cnn", 48): 0.95}
    plant_accuracies(folder / "results", cells, SEEDS)
    plant_int8(folder / "results", cells, SEEDS)
    write_device(folder, "pi5", {(cell, "fp32"): 1.0 * cell[1] for cell in cells})
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "sweep: {models: [tiny_cnn], resolutions: [24, 48], seeds: [0, 1]}\n"
        "system: {deploy: {runtimes: [onnxruntime], precisions: [fp32], cells: all, "
        "max_flips: null, measurements: [pi5.json]}}\n"
    )
    assert run(folder, "--device", "pi5").exit_code == 1
    answer = record(folder, "--device", "pi5", "--configfile", str(mine))
    assert network_of(answer["choice"]) == (("tiny_cnn", 48), "fp32")


@pytest.mark.parametrize(
    ("factor", "int8", "expected"),
    [
        (0.1, 0.945, (("tiny_cnn", 48), "int8")),
        (2.0, 0.945, (("tiny_cnn", 48), "fp32")),
        # A network that quantises badly is not worth its speed.
        (0.1, 0.85, (("tiny_cnn", 48), "fp32")),
    ],
)
def test_int8_of_the_profiles_is_chosen_if_it_is_fast_and_accurate(
    tmp_path: Path, factor: float, int8: float, expected: Network
) -> None:
    folder = RecordedDirectory(tmp_path, small_sweep(modes=("raw",))).write()
    results = folder / "results"
    fp32 = {("tiny_cnn", 24): 0.8, ("tiny_cnn", 48): 0.95}
    plant_accuracies(results, fp32, SEEDS)
    plant_int8(results, {("tiny_cnn", 24): 0.79, ("tiny_cnn", 48): int8}, SEEDS)
    path = results / "profiles/custom/tiny_cnn.json"
    profile = read_json(path)
    singles = [one for one in profile["cells"] if one["batch_size"] == 1]
    for row in singles:
        for precision, ratio in (("fp32", 0.5), ("int8", 0.5 * factor)):
            made = row | {"variant": "onnxruntime", "precision": precision}
            made |= {name: ratio * row[name] for name in ("latency_ms_p50", "latency_ms_p90")}
            made["ratio_rounds"] = [ratio * each for each in row["ratio_rounds"]]
            profile["cells"].append(made)
    write_json(path, profile)
    answer = record(folder)
    assert network_of(answer["choice"]) == expected
    assert (answer["device"], answer["unmeasured"]) == (None, [])


def test_choosing_for_a_device_loads_neither_torch_nor_a_runtime(half: Path) -> None:
    program = (
        "import sys\n"
        "from resomap.cli import app\n"
        f"app(['choose', {str(half)!r}, '--device', 'half'], standalone_mode=False)\n"
        "assert not {'torch', 'matplotlib', 'pandas', 'onnxruntime'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "Choose" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
