import pandas as pd
import pytest

from resomap.analysis.device_tables import device_rows, turned_orders


def row(resolution, latency, precision="fp32", **changes):
    values = {"family": "custom", "model": "tiny_cnn", "resolution": resolution}
    values |= {"device": "pi5", "variant": "onnxruntime", "precision": precision}
    return values | {"valid": True, "latency_ms_p50": latency} | changes


def profile(resolution, latency, variant="eager", batch_size=1, precision="fp32"):
    return row(resolution, latency, precision, variant=variant, batch_size=batch_size)


def test_device_is_compared_with_the_same_way_to_run():
    profiled = [
        *(profile(24, 8.0, batch_size=32), profile(24, 2.0), profile(24, 9.0, "training_step")),
        profile(24, 1.0, "onnxruntime"),
    ]
    (fp32, int8) = device_rows({"pi5": [row(24, 3.0, "int8"), row(24, 6.0)]}, profiled)
    assert (fp32["profiled_variant"], fp32["latency_ratio"]) == ("onnxruntime", 6.0)
    # int8 is not profiled: the first variant of the profile stands beside it.
    assert (int8["profiled_variant"], int8["profiled_precision"]) == ("eager", "fp32")
    assert int8["latency_ratio"] == 1.5


def test_cell_without_profile_or_latency_has_no_ratio():
    rows = {"pi5": [row(24, None, valid=False), row(48, 1.0)]}
    first, second = device_rows(rows, [profile(24, 2.0)])
    assert first["latency_ratio"] is None
    assert first["profiled_latency_ms_p50"] == 2.0
    assert "latency_ratio" not in second


@pytest.mark.parametrize(
    ("latencies", "turned"), [((1.0, 2.0, 3.0), 0), ((3.0, 2.0, 1.0), 3), ((2.0, 1.0, 3.0), 1)]
)
def test_turned_pairs_are_counted(latencies, turned):
    sides = (24, 48, 96)
    rows = [row(*each) for each in zip(sides, latencies, strict=True)]
    rows += [row(192, 0.1, valid=False), row(24, 0.1, "int8")]
    profiled = [profile(side, float(side)) for side in (*sides, 192)]
    costs = pd.DataFrame(list(device_rows({"pi5": rows}, profiled)))
    assert turned_orders(costs) == [("pi5", turned, 3)]
