"""The controls of the page: which limits and names it offers, and in which range."""

from typing import Any

import pytest

from resomap.report.controls import filters, round_limit, sliders
from tests.synthetic import report_rules


def answer(**columns: list[Any]) -> dict[str, Any]:
    """Return the candidates of answer.json with these bounds by column."""
    candidates = [
        {name: [value, value] for name, value in zip(columns, values, strict=True) if value}
        | {"selected_by": "main"}
        for values in zip(*columns.values(), strict=True)
    ]
    networks = [
        {"model": model, "mode": "raw", "accuracy": [0.9, low]}
        for model, low in (("a", 0.81), ("b", 0.88))
    ]
    return {"networks": networks, "candidates": candidates}


RULES = report_rules().model_dump(mode="json")


def test_limits_are_those_measured_and_different() -> None:
    measured = answer(
        latency_ms_p90=[1.0, 8.0], macs=[5e6, 5e6], energy_j_per_image=[None, None]
    )
    assert [one.key for one in sliders(measured, RULES)] == ["max_latency_ms", "min_accuracy"]


def test_range_of_slider_holds_every_bound() -> None:
    latency, accuracy = sliders(answer(latency_ms_p90=[0.9876, 8.001]), RULES)
    assert latency.low < 0.9876
    assert latency.high > 8.001
    assert accuracy.low < 81
    assert accuracy.high > 88
    assert (latency.value, accuracy.is_floor, latency.is_floor) == (None, True, False)


def test_limit_of_sweep_is_shown_and_in_range() -> None:
    rules = RULES | {"max_latency_ms": 20.0, "min_accuracy": 0.5}
    latency, accuracy = sliders(answer(latency_ms_p90=[1.0, 8.0]), rules)
    assert (latency.value, latency.high) == (20.0, 20.0)
    assert (accuracy.value, accuracy.low) == (50.0, 50.0)


@pytest.mark.parametrize(
    ("value", "lower", "higher"),
    [(3.14159, 3.11, 3.18), (1234.0, 1220.0, 1250.0), (0.00456, 0.00451, 0.00461), (0, 0, 0)],
)
def test_limits_are_rounded_outwards(value: float, lower: float, higher: float) -> None:
    assert round_limit(value, down=True) == lower
    assert round_limit(value, down=False) == higher


def test_filters_are_those_with_a_choice() -> None:
    measured = answer(latency_ms_p90=[1.0, 8.0])
    assert [one.key for one in filters(measured)] == ["models"]
    measured["candidates"][1]["selected_by"] = "onnxruntime"
    models, variants = filters(measured)
    assert models.options == [("a", "a"), ("b", "b")]
    assert variants.options == [("main", "as profiled first"), ("onnxruntime", "ONNX Runtime")]


def test_sweep_without_candidates_has_no_controls() -> None:
    nothing: dict[str, Any] = {"networks": [], "candidates": []}
    assert sliders(nothing, RULES) == filters(nothing) == []
