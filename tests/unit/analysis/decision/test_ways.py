"""Ways of running a network: which measurements may stand for which predictions."""

from typing import Any

import pytest

from resomap.analysis.decision.ways import main_latencies, ways_to_run
from resomap.analysis.predictions import Cell

CELL = Cell("custom", "net", 48)


def measured(
    variant: str, precision: str, latency: float, *, device: str = "cpu", **changes: Any
) -> dict[str, Any]:
    row = {
        "family": "custom",
        "model": "net",
        "resolution": 48,
        "batch_size": 1,
        "variant": variant,
        "precision": precision,
        "memory_format": "contiguous" if variant == "onnxruntime" else "channels_last",
        "device": device,
        "latency_ms_p50": latency,
        "latency_ms_p90": 1.1 * latency,
        "valid": True,
    }
    return row | changes


EAGER, ORT = measured("eager", "fp32", 4.0), measured("onnxruntime", "fp32", 2.0)
ORT_INT8 = measured("onnxruntime", "int8", 1.0)


def named(rows: list[dict[str, Any]], device: str | None = None) -> list[Any]:
    found = ways_to_run(rows, device).get(CELL, [])
    return [(way.variant, way.latency.p50, way.is_int8) for way in found]


def test_runtimes_are_further_ways_and_int8_is_marked() -> None:
    expected = [(None, 4.0, False), ("onnxruntime", 2.0, False), ("onnxruntime", 1.0, True)]
    assert named([EAGER, ORT, ORT_INT8]) == expected
    runtimes = [way.runtime for way in ways_to_run([EAGER, ORT])[CELL]]
    assert runtimes == [None, "onnxruntime"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (2, 0, 1)])
def test_int8_never_ranks_the_cells(order: tuple[int, ...]) -> None:
    rows = [(EAGER, ORT, ORT_INT8)[place] for place in order]
    latency = main_latencies(ways_to_run(rows))[CELL]
    assert latency.p50 == (4.0 if order.index(0) < order.index(1) else 2.0)


def test_runtime_in_fp32_is_no_way_of_a_network_in_bf16() -> None:
    half = measured("eager", "bf16", 3.0)
    assert named([half, ORT, measured("compiled", "bf16", 2.5)]) == [
        (None, 3.0, False),
        ("compiled", 2.5, False),
    ]


def test_measurement_of_another_device_is_no_way() -> None:
    gpu = measured("eager", "fp32", 0.5, device="NVIDIA H100")
    assert named([gpu, ORT, ORT_INT8]) == [(None, 0.5, False)]


def test_device_names_its_runtime_and_may_have_int8_alone() -> None:
    rows = [{**row, "device": "pi5"} for row in (ORT, ORT_INT8)]
    assert named(rows, "pi5") == [("onnxruntime", 2.0, False), ("onnxruntime", 1.0, True)]
    assert named(rows[1:], "pi5") == [("onnxruntime", 1.0, True)]


@pytest.mark.parametrize(
    "changes", [{"batch_size": 8}, {"latency_ms_p50": None}, {"variant": "training_step"}]
)
def test_measurement_of_no_single_image_is_no_way(changes: dict[str, Any]) -> None:
    assert named([EAGER, {**EAGER, **changes}]) == [(None, 4.0, False)]
