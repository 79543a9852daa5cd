import json

import pandas as pd
import pytest

from resomap.errors import ConfigError
from resomap.workflow.jobs import CompareDevices
from tests.device_files import (
    plant_sweep,
    planted_measurement,
    planted_network,
    write_measurement,
)
from workflow_scripts.compare_devices import main

CELLS = (("custom", "tiny_cnn", 24), ("custom", "tiny_cnn", 48))


@pytest.fixture
def results(tmp_path):
    plant_sweep(tmp_path / "results", CELLS, ("fp32",))
    cells = [
        {
            "resolution": side,
            "batch_size": 1,
            "variant": "eager",
            "precision": "fp32",
            "latency_ms_p50": 8.0,
        }
        for _, _, side in CELLS
    ]
    profile = tmp_path / "results/profiles/custom/tiny_cnn.json"
    profile.parent.mkdir(parents=True)
    profile.write_text(json.dumps({"cells": cells}))
    return tmp_path / "results"


def compare(results, *paths):
    job = CompareDevices(code="", measurements={str(path): "" for path in paths})
    table = results / "tables/device_costs.csv"
    figure = results / "figures/deploy/latency_by_device.svg"
    main(job, results / "profiles", table, figure)
    return pd.read_csv(table), figure


def test_table_and_figure_have_every_device(results, tmp_path):
    paths = []
    for name, latency in (("pi5", 2.0), ("jetson", 1.0)):
        networks = [planted_network(cell, "fp32", latency * cell[2] / 24) for cell in CELLS]
        record = planted_measurement(results, networks)
        paths.append(write_measurement(tmp_path / f"{name}.json", record))
    costs, figure = compare(results, *paths)
    assert list(costs["device"]) == ["pi5", "pi5", "jetson", "jetson"]
    assert list(costs["latency_ms_p50"]) == [2.0, 4.0, 1.0, 2.0]
    assert list(costs["latency_ratio"]) == [0.25, 0.5, 0.125, 0.25]
    assert set(costs["profiled_variant"]) == {"eager"}
    for suffix in (".svg", ".png", ".csv"):
        assert figure.with_suffix(suffix).stat().st_size > 0


def test_refused_file_leaves_no_table(results, tmp_path):
    (tmp_path / "pi5.json").write_text("{")
    with pytest.raises(ConfigError, match=r"pi5\.json: no JSON"):
        compare(results, tmp_path / "pi5.json")
    assert not (results / "tables").exists()
