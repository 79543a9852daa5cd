from dataclasses import replace

from resomap.analysis.statistics import Interval
from resomap.deploy.parity_table import describe_costs, excess_line, parity_lines
from resomap.deploy.preprocessing_parity import PreprocessingCost

OWN = PreprocessingCost(
    24, "as trained", "reference", "as trained", 2, 100, 0.0, Interval(0.0, -0.01, 0.01, "t")
)
SAME = replace(OWN, name="torch bilinear antialias", kind="same filter")
LINEAR = replace(
    OWN,
    name="OpenCV linear",
    kind="no antialias",
    flips=0.25,
    lost=Interval(0.2, 0.1, 0.3, "t"),
)
BGR = replace(LINEAR, name="BGR for RGB", kind="colour order", flips=0.5)
SKIPPED = replace(SAME, name="onnxruntime linear", lost=None, skipped="onnx not installed")


def test_sentence_has_the_worst_of_each_group():
    text = describe_costs([OWN, SAME, LINEAR, BGR, SKIPPED], 0.95)
    assert text.startswith("No answer changes in any of 1 way ")
    assert (
        "OpenCV linear (no antialias) changes 25 % of the answers and loses 20 points" in text
    )
    assert "BGR for RGB (colour order) changes 50 %" in text
    swapped = replace(BGR, name="rows and columns swapped", kind="rows and columns swapped")
    assert describe_costs([swapped], 0.95).startswith("rows and columns swapped changes 50 %")
    worse = replace(SAME, flips=0.03)
    assert "torch bilinear antialias changes most answers: 3 %" in describe_costs([worse], 0.9)
    assert describe_costs([OWN, SKIPPED], 0.9) == ""


def test_table_has_a_row_of_each_path_and_a_block_of_each_size():
    results = [OWN, SAME, SKIPPED, replace(OWN, resolution=48), replace(BGR, resolution=48)]
    lines = list(parity_lines(results, 0.95, "tiny_cnn at 24 px"))
    heads = [line for line in lines if line.startswith("tiny_cnn at 24 px, given")]
    assert [head.split("images of ")[1].split(":")[0] for head in heads] == ["24 px", "48 px"]
    assert "100 test images, 2 seeds, 95 % intervals" in heads[0]
    assert any("onnx not installed" in line for line in lines)
    assert len(lines) == 2 * 4 + 5


def test_reference_has_no_interval_and_large_differences_no_exponent():
    results = [OWN, replace(BGR, max_logit_difference=246.1)]
    _, _, own, other, *_ = parity_lines(results, 0.95, "tiny_cnn at 24 px")
    assert own.split()[-2:] == ["-", "0"]
    assert other.split()[-1] == "246"


def test_complaint_has_size_path_share_and_limit():
    assert excess_line(LINEAR, 0.01) == (
        "24 px: OpenCV linear changes 25 % of the answers, above 1 %"
    )
    close = excess_line(replace(LINEAR, flips=0.0125), 0.01)
    assert close == "24 px: OpenCV linear changes 1.25 % of the answers, above 1 %"
