import pandas as pd

from resomap.report.figures.devices import plot_latency_by_device
from resomap.workflow.layout import table_columns


def costs(*rows):
    values = {"family": "custom", "variant": "onnxruntime", "threads": 2, "status": "ok"}
    profiled = {"profiled_variant": "eager", "profiled_precision": "fp32"}
    values |= profiled | {"precision": "fp32", "valid": True}
    return pd.DataFrame([values | row for row in rows], columns=table_columns("device_costs"))


def row(device, model, resolution, latency, profiled, **changes):
    names = {"device": device, "model": model, "resolution": resolution}
    latencies = {"latency_ms_p50": latency, "profiled_latency_ms_p50": profiled}
    return names | latencies | changes


def test_panels_are_the_profile_and_each_device():
    drawing = plot_latency_by_device(
        costs(
            row("pi5", "tiny_cnn", 24, 3.0, 1.0),
            row("pi5", "tiny_cnn", 48, 6.0, 0.5),
            row("pi5", "tiny_cnn", 48, 2.0, 0.5, precision="int8"),
            row("jetson", "tiny_cnn", 24, 1.0, 1.0, threads=1),
            row("jetson", "tiny_cnn", 48, 2.0, 0.5, threads=1, valid=False),
        )
    )
    panels = drawing.figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "profiling machine (eager)",
        "pi5 (onnxruntime, 2 threads)",
        "jetson (onnxruntime, 1 thread)",
    ]
    assert drawing.title == "On pi5, 1 of 1 pair of cells changes its order of latency"
    profiled = panels[0].lines[0]
    assert list(profiled.get_ydata()) == [1.0, 0.5]
    # The line of a device, then its disturbed points, in each precision.
    solid, _, dashed, _ = panels[1].lines
    assert list(solid.get_xdata()) == [24, 48]
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert list(dashed.get_ydata()) == [2.0]
    hollow = panels[2].lines[1]
    assert list(hollow.get_xdata()) == [48]


def test_devices_that_measured_nothing_give_a_reason():
    table = costs(row("pi5", "tiny_cnn", 24, None, None, valid=False))
    drawing = plot_latency_by_device(table)
    assert drawing.title == "Latency on 1 other device"
    assert drawing.figure.axes == []


def test_same_order_everywhere_is_stated():
    table = costs(row("pi5", "tiny_cnn", 24, 3.0, 1.0), row("pi5", "tiny_cnn", 48, 6.0, 2.0))
    title = plot_latency_by_device(table).title
    assert title == "Every device orders the cells by latency as the profile does"
