import pytest

from resomap.analysis.decision.ways import ways_to_run
from resomap.analysis.predictions import Cell
from resomap.deploy.measurements import read_measurements
from tests.device_files import (
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
