import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from resomap.deploy import measure, predict, prove
from resomap.deploy.cascades import cascade

TIMING = {"rounds": 5, "round_seconds": 0.0, "warmup_seconds": 0.0}


def planted_round(latency, valid=True):
    return {"ms": [latency, latency], "median": latency, "valid": valid}


def networks(count):
    return [{"status": "unmeasured", "timing": None} for _ in range(count)]


def test_ratios_are_over_the_reference_of_the_same_round(monkeypatch):
    drift = iter(range(1, 100))
    monkeypatch.setattr(measure, "time_round", lambda call, _: planted_round(call()))
    measured, saved = networks(1), []
    # The machine slows down from call to call; both slow down alike within a round.
    pace = {}

    def call(number, base):
        pace.setdefault(number, 0)
        pace[number] += 1
        return base * pace[number]

    calls = [lambda: lambda: call(0, 6.0), lambda: lambda: call(1, 2.0)]
    measure.measure(measured, calls, TIMING, lambda: saved.append(next(drift)))
    timing = measured[0]["timing"]
    assert timing["ratio_rounds"] == [3.0] * 5
    assert timing["ratio_to_reference"] == 3.0
    assert timing["latency_ms_rounds"] == [6.0, 12.0, 18.0, 24.0, 30.0]
    assert (timing["valid"], timing["tried"], timing["n"]) == (True, 5, 10)
    # Once before the first round, and after each.
    assert len(saved) == 6


@pytest.mark.parametrize(
    ("disturbed", "tried", "rounds", "valid"),
    [([], 5, 5, True), ([0, 1, 3], 8, 5, True), (range(6), 10, 10, False)],
)
def test_disturbed_rounds_do_not_count(monkeypatch, disturbed, tried, rounds, valid):
    count = iter(range(100))

    def time_round(call, _):
        number = call()
        return planted_round(1.0, valid=number == -1 or number not in disturbed)

    monkeypatch.setattr(measure, "time_round", time_round)
    measured = networks(1)
    calls = [lambda: lambda: next(count), lambda: lambda: -1]
    measure.measure(measured, calls, TIMING, lambda: None)
    timing = measured[0]["timing"]
    assert (timing["tried"], len(timing["ratio_rounds"]), timing["valid"]) == (
        *(tried, rounds, valid),
    )
    assert timing["why_invalid"] == (None if valid else "crowded")
    assert measured[0]["status"] == "ok"


def test_networks_take_turns_in_random_order_and_stop_when_measured(monkeypatch):
    order = []

    def time_round(call, _):
        order.append(call())
        return planted_round(1.0, valid=order[-1] != 1)

    monkeypatch.setattr(measure, "time_round", time_round)
    measured = networks(3)
    measured[2]["status"] = "failed"
    calls = [lambda number=number: lambda: number for number in (0, 1, 2)]
    calls.append(lambda: lambda: -1)
    measure.measure(measured, calls, TIMING, lambda: None)
    assert order.count(0) == 5
    assert order.count(1) == order.count(-1) == 10
    assert 2 not in order
    passes = [order[start : start + 3] for start in range(0, 15, 3)]
    assert all(sorted(each) == [-1, 0, 1] for each in passes)
    assert len({tuple(each) for each in passes}) > 1
    assert [each["status"] for each in measured] == ["ok", "ok", "failed"]


def test_crowded_machine_makes_a_round_invalid(monkeypatch):
    monkeypatch.setattr(measure.time, "process_time", lambda: 0.0)
    assert not measure.time_round(lambda: None, {**TIMING, "round_seconds": 0.01})["valid"]
    monkeypatch.undo()
    made = measure.time_round(lambda: sum(range(1000)), {**TIMING, "round_seconds": 0.02})
    assert len(made["ms"]) >= measure.MIN_REPETITIONS


def test_record_replaces_an_earlier_one_whole(tmp_path):
    output = tmp_path / "pi5.json"
    output.write_text("{}")
    measure.write_record({"networks": [{"status": "ok"}], "b": 0.1}, output)
    record = json.loads(output.read_text())
    assert record["complete"] is True
    assert len(record["sha256"]) == 64
    measure.write_record({"networks": [{"status": "unmeasured"}]}, output)
    assert json.loads(output.read_text())["complete"] is False
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("module", "packages"),
    [
        (measure, "numpy onnxruntime"),
        (predict, "numpy pillow onnxruntime"),
        (cascade, "numpy pillow onnxruntime"),
    ],
)
def test_program_without_numpy_names_what_to_install(tmp_path, module, packages):
    program = Path(shutil.copy(module.__file__, tmp_path))
    command = [sys.executable, "-S", str(program), "x.png"]  # without site-packages
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == (f"error: No module named 'numpy': run `pip install {packages}`\n")


def run_in_pack(folder, *arguments):
    (folder / "pack.json").write_text(
        json.dumps({"files": {}, "networks": [], "sweep": {}, "timing": TIMING})
    )
    for module in (measure, prove):
        shutil.copy(module.__file__, folder)
    command = [sys.executable, str(folder / "measure.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_missing_runtime_is_one_line_before_anything_is_measured(tmp_path, monkeypatch):
    (tmp_path / "openvino.py").write_text("raise ImportError('no OpenVINO here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = run_in_pack(tmp_path, "--runtime", "openvino")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: no OpenVINO here\n"


def test_output_that_cannot_be_written_is_one_line(tmp_path):
    output = tmp_path / "none" / "pi5.json"
    result = run_in_pack(tmp_path, "--output", str(output))
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert str(output) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_device_has_the_version_of_a_runtime_that_another_package_installed(monkeypatch):
    # onnxruntime-gpu and others install the module onnxruntime, and no package of that name.
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(__version__="1.2.3"))
    assert measure.describe_device("onnxruntime")["onnxruntime"] == "1.2.3"
