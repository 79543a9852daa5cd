"""Names, lists and estimates as the report writes them."""

from typing import Any

import pytest

from resomap.analysis.findings.finding import Estimate
from resomap.report.text import format as text


@pytest.mark.parametrize(
    ("names", "expected"),
    [([24], "24"), ([24, 48], "24 and 48"), ([24, 48, 96], "24, 48 and 96")],
)
def test_lists_end_with_and(names: list[int], expected: str) -> None:
    assert text.join_names(names) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "tiny_cnn at 96 px"),
        ({"resolution": 48}, "tiny_cnn at 96 px (trained at 48 px)"),
        (
            {"mode": "bn", "variant": "cuda_graph"},
            "tiny_cnn at 96 px (BatchNorm recalibrated, CUDA graph)",
        ),
    ],
)
def test_candidate_is_named_by_what_differs(changes: dict[str, Any], expected: str) -> None:
    plain = {"resolution": 96, "eval_resolution": 96, "mode": "raw", "variant": None}
    assert text.candidate_name({"model": "tiny_cnn", **plain, **changes}) == expected


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (("eager", "fp32"), "eager"),
        (("eager", "bf16"), "eager in bf16"),
        (("onnxruntime", "int8"), "ONNX Runtime in int8"),
        (("openvino", "fp32"), "OpenVINO"),
    ],
)
def test_way_of_running_names_a_precision_below_fp32(
    way: tuple[str, str], expected: str
) -> None:
    subject = {"model": "tiny_cnn", "resolution": 24, "batch_size": 1}
    subject |= {"variant": way[0], "precision": way[1]}
    assert text.measurement_name(subject) == f"tiny_cnn at 24 px ({expected}, batch 1)"


def test_long_lists_count_the_rest() -> None:
    assert text.join_first(["a", "b", "c"], 3) == "a, b, c"
    assert text.join_first(["a", "b", "c"], 2, "; ") == "a; b and 1 more"


@pytest.mark.parametrize(
    ("joules", "expected"), [(0.0561234, "56.1 mJ"), (2.5, "2.5 J"), (1e-5, "0.01 mJ")]
)
def test_energy_has_three_digits(joules: float, expected: str) -> None:
    assert text.format_energy(joules) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0.28, "0.280"), (5.0, "5.00"), (99.97, "100"), (1203.4, "1,203")]
)
def test_numbers_in_columns_have_three_digits(value: float, expected: str) -> None:
    assert text.format_three_digits(value) == expected


@pytest.mark.parametrize(("size", "expected"), [(2.43, "2.4"), (1203.4, "1,203")])
def test_small_memories_have_a_decimal(size: float, expected: str) -> None:
    assert text.format_mebibytes(size) == expected


def test_estimates_have_interval_and_n() -> None:
    estimate = Estimate(0.984, 0.978, 0.989, 400)
    assert text.format_estimate(estimate, 3) == "0.984 (0.978–0.989)"
    named = text.format_estimate(estimate, 2, confidence=0.95, show_n=True)
    assert named == "0.98 (95 % interval 0.98–0.99, n = 400)"
    assert text.format_estimate(Estimate(0.984)) == "0.98"


def test_long_names_are_cut_in_the_middle() -> None:
    assert text.shorten_name("starfish") == "starfish"
    assert text.shorten_name("abcdefghij", 5) == "ab…ij"
    assert text.shorten_name("a" * 30 + "b" * 30, 9) == "aaaa…bbbb"
