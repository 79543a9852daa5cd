import copy
import json
import shutil

import pytest

from resomap.analysis.decision.ways import refused_ways, ways_to_run
from resomap.analysis.predictions import Cell
from resomap.deploy import measure, measurements
from resomap.deploy.measurements import read_measurements
from resomap.errors import ConfigError
from tests.device_files import (
    plant_export,
    plant_sweep,
    planted_measurement,
    planted_network,
    write_measurement,
)

SMALL, LARGE = ("custom", "tiny_cnn", 24), ("custom", "tiny_cnn", 48)
PRECISIONS = ("fp32", "int8")


@pytest.fixture
def results(tmp_path):
    plant_sweep(tmp_path / "results", (SMALL, LARGE), PRECISIONS)
    return tmp_path / "results"


@pytest.fixture
def record(results):
    latencies = {(SMALL, "fp32"): 1.0, (SMALL, "int8"): 0.5, (LARGE, "fp32"): 4.0}
    latencies[LARGE, "int8"] = 3.0
    return planted_measurement(
        results, [planted_network(*key, each) for key, each in latencies.items()]
    )


def test_rows_of_a_device_have_the_shape_of_a_profile(results, record, tmp_path):
    rows = read_measurements([write_measurement(tmp_path / "pi5.json", record)], results)
    assert list(rows) == ["pi5"]
    assert [(row["resolution"], row["precision"]) for row in rows["pi5"]] == [
        *((24, "fp32"), (24, "int8")),
        *((48, "fp32"), (48, "int8")),
    ]
    assert {row["device"] for row in rows["pi5"]} == {"pi5"}
    ways = ways_to_run(rows["pi5"], "pi5")
    assert set(ways) == {Cell(*SMALL), Cell(*LARGE)}
    way, int8 = ways[Cell(*LARGE)]
    assert (way.variant, way.device, way.latency.p50) == ("onnxruntime", "pi5", 4.0)
    assert (int8.is_int8, int8.latency.p50) == (True, 3.0)
    assert way.latency.p90 == pytest.approx(4.4)
    assert way.costs["model_size_mib"] == 1.0
    assert way.latency.rounds == pytest.approx((1.96, 1.98, 2.0, 2.02, 2.04))


def change(record, *keys, to):
    """Return a copy of the record with one value changed; `to` may be a function of the old one."""
    changed = copy.deepcopy(record)
    place = changed
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to(place[keys[-1]]) if callable(to) else to
    return changed


def without(record, *keys):
    changed = copy.deepcopy(record)
    place = changed
    for key in keys[:-1]:
        place = place[key]
    del place[keys[-1]]
    return changed


FIRST = ("networks", 0)
TIMING = (*FIRST, "timing")
# What was changed, with a digest made anew, and what the message has to name.
REFUSED = {
    "another schema": (("schema",), 1, "schema 1, expected 2"),
    "a later schema": (("schema",), 3, "schema 3"),
    "no schema": (("schema",), None, "schema None"),
    "another kind of file": (("kind",), "resomap pack", "no measurement of ResoMap"),
    "not complete": (("complete",), False, "partial"),
    "another sweep": (("sweep", "images"), "0" * 64, "another sweep"),
    "a resolution not exported": (
        (*FIRST, "train_resolution"),
        96,
        "does not export tiny_cnn@96",
    ),
    "a model not exported": ((*FIRST, "model"), "resnet18", "does not export resnet18@24"),
    "a family not exported": ((*FIRST, "family"), "resnet", "does not export tiny_cnn@24"),
    "a seed not exported": ((*FIRST, "seed"), 5, "tiny_cnn@24 seed 5 fp32"),
    "another network": ((*FIRST, "sha256"), "a" * 64, "stale"),
    "a digest that is none": ((*FIRST, "sha256"), "abc", "networks.0.sha256"),
    "an unknown precision": ((*FIRST, "precision"), "int4", "networks.0.precision"),
    "an unknown runtime": (("runtime",), "tflite", "runtime"),
    "no threads": (("threads",), 0, "threads"),
    "no networks": (("networks",), [], "networks"),
    "a negative latency": ((*TIMING, "latency_ms_p50"), -1.0, "timing.latency_ms_p50"),
    "a latency as text": ((*TIMING, "latency_ms_p90"), "fast", "timing.latency_ms_p90"),
    "p90 below p50": ((*TIMING, "latency_ms_p90"), 0.1, "latency_ms_p50 is above"),
    "no rounds": ((*TIMING, "latency_ms_rounds"), [], "latency_ms_rounds"),
    "fewer ratios than rounds": (
        (*TIMING, "ratio_rounds"),
        [0.5],
        "ratio_rounds and latency_ms_rounds",
    ),
    "a ratio outside of its rounds": ((*TIMING, "ratio_to_reference"), 9.0, "ratio_to"),
    "a network twice": (
        ("networks",),
        lambda networks: [*networks, networks[0]],
        "tiny_cnn@24 seed 0 fp32 stands there twice",
    ),
    "a latency that is no number": (
        (*TIMING, "latency_ms_p50"),
        float("nan"),
        "timing.latency_ms_p50",
    ),
    "no timing": (TIMING, None, "status is 'ok'"),
    "a key of another version": ((*TIMING, "median"), 1.0, "timing.median"),
}


def refusal(files, results):
    """Return the message of the refusal; each line names the key and the file."""
    with pytest.raises(ConfigError) as raised:
        read_measurements(files, results)
    lines = str(raised.value).splitlines()
    assert all(line.startswith("config/system.yaml: system.deploy.measurem") for line in lines)
    return str(raised.value)


@pytest.mark.parametrize("name", REFUSED)
def test_changed_record_is_refused_by_name(results, record, tmp_path, name):
    keys, value, words = REFUSED[name]
    if keys == (*TIMING, "median"):
        record["networks"][0]["timing"]["median"] = 0.0
    path = write_measurement(tmp_path / "pi5.json", change(record, *keys, to=value))
    message = refusal([path], results)
    assert str(path) in message
    assert words in message


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: b"", "no JSON, or cut off"),
        (lambda text: text[: len(text) // 2], "no JSON, or cut off"),
        (lambda text: text[:-1], "no JSON, or cut off"),
        (lambda text: b"\x89PNG\r\n\xff\x00", "no JSON, or cut off"),
        (lambda text: b"[" * 100_000, "no JSON, or cut off"),
        (lambda text: b"[]", "no measurement of ResoMap"),
        (lambda text: b'{"cells": []}', "no measurement of ResoMap"),
        (
            lambda text: text.replace(b'"latency_ms_p50": 4.0', b'"latency_ms_p50": 0.4'),
            "sha256",
        ),
        (lambda text: text.replace(b'"valid": true', b'"valid": false'), "sha256"),
        (lambda text: text.replace(b'"planted"', b'"another"'), "sha256"),
        (lambda text: text.replace(b'"sha256"', b'"sha265"'), "sha256"),
    ],
)
def test_damaged_file_is_refused_by_name(results, record, tmp_path, damage, words):
    path = write_measurement(tmp_path / "pi5.json", record)
    damaged = damage(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    message = refusal([path], results)
    assert str(path) in message
    assert words in message
    assert len(message.splitlines()) == 1


def test_partial_file_names_the_missing_networks(results, record, tmp_path):
    for index in (1, 3):
        record["networks"][index] |= {"status": "unmeasured", "timing": None}
    path = write_measurement(tmp_path / "pi5.json", {**record, "complete": False})
    message = refusal([path], results)
    assert "partial" in message
    assert "tiny_cnn@24 seed 0 int8, tiny_cnn@48 seed 0 int8" in message


def test_network_exported_anew_makes_its_measurement_stale(results, record, tmp_path):
    path = write_measurement(tmp_path / "pi5.json", record)
    plant_export(results, SMALL, ("fp32",))
    export = results / "deploy/custom/tiny_cnn/r48/seed0/at48/export.json"
    values = json.loads(export.read_text())
    values["networks"]["int8"]["sha256"] = "b" * 64
    export.write_text(json.dumps(values))
    lines = refusal([path], results).splitlines()
    assert len(lines) == 2
    assert "does not export tiny_cnn@24 seed 0 int8" in lines[0]
    assert "stale" in lines[1]
    assert "tiny_cnn@48 seed 0 int8" in lines[1]


def test_every_file_has_its_complaints(results, record, tmp_path):
    stale = change(record, *FIRST, "sha256", to="c" * 64)
    files = [
        write_measurement(tmp_path / "pi5.json", stale),
        tmp_path / "jetson.json",
        write_measurement(tmp_path / "laptop.json", without(record, "threads")),
        tmp_path,
    ]
    message = refusal(files[:3], results)
    assert [name in message for name in ("pi5.json", "jetson.json", "laptop.json")] == [
        True
    ] * 3
    assert "No such file" in message
    (tmp_path / "folder").mkdir()
    assert "Is a directory" in refusal([tmp_path / "folder"], results)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a/pi5.json", "b/pi5.json"], "a/pi5.json name one device"),
        (["a/pi5.json", "b/Pi5.JSON"], "name one device"),
        (["my pi.json"], "'my pi' is no name of a device"),
        (["pi.5.json"], "'pi.5' is no name"),
        (["5.json"], "'5' is no name"),
        ([".json"], "'.json' is no name"),
        (["cpu.json"], "'cpu' is no name"),
        (["größe.json"], "is no name"),
    ],
)
def test_files_that_name_no_distinct_device_are_refused(tmp_path, names, words):
    message = refusal([tmp_path / name for name in names], tmp_path)
    assert words in message


def test_network_with_wrong_answers_has_no_latency(results, record, tmp_path):
    record["networks"][1] |= {"status": "wrong answers", "why": "2 differ", "timing": None}
    rows = read_measurements([write_measurement(tmp_path / "pi5.json", record)], results)["pi5"]
    assert (rows[1]["status"], rows[1]["valid"], rows[1]["why_invalid"]) == (
        *("wrong answers", False, "2 differ"),
    )
    assert rows[1]["latency_ms_p50"] is None
    assert rows[1]["ratio_rounds"] == []
    assert sum(len(ways) for ways in ways_to_run([rows[1]]).values()) == 0


@pytest.mark.parametrize("wrong", [24, 48])
def test_wrong_answers_of_one_network_do_not_hide_behind_another(
    results, record, tmp_path, wrong
):
    # Trained at 24 px and given images of 48 px, it costs what the one trained there costs.
    other = planted_network(LARGE, "fp32", 4.0) | {"train_resolution": 24}
    folder = results / "deploy/custom/tiny_cnn/r24/seed0/at48"
    folder.mkdir()
    shutil.copy(folder.parents[2] / "r48/seed0/at48/export.json", folder)
    networks = [*record["networks"], other]
    for each in networks:
        if (each["train_resolution"], each["resolution"]) == (wrong, 48):
            each |= {"status": "wrong answers", "why": "2 differ", "timing": None}
    path = write_measurement(tmp_path / "pi5.json", {**record, "networks": networks})
    rows = read_measurements([path], results)["pi5"]
    row = next(each for each in rows if (each["resolution"], each["precision"]) == (48, "fp32"))
    assert (row["latency_ms_p50"], row["unusable"]) == (4.0, [wrong])
    cell = Cell("custom", "tiny_cnn", wrong)
    assert (cell, 48, "onnxruntime", False) in refused_ways(rows)
    good = Cell("custom", "tiny_cnn", 72 - wrong)
    assert (good, 48, "onnxruntime", False) not in refused_ways(rows)


def test_no_files_need_no_sweep(tmp_path):
    assert read_measurements([], tmp_path / "none") == {}


def test_program_writes_the_schema_that_is_read():
    # Apart, since the program on the device imports nothing of the package.
    assert measure.SCHEMA == measurements.SCHEMA
