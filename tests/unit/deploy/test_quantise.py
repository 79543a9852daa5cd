import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from resomap.deploy import quantise
from resomap.deploy.export import export_network, read_record
from resomap.deploy.network_parity import compare_logits
from resomap.deploy.quantise import draw_calibration_rows, quantise_network
from resomap.deploy.runtimes.onnxruntime_sessions import compute_logits, open_session
from resomap.errors import DataError
from tests.exported_networks import SIDE, build_convolutional, draw_images
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime")


def logits_of(content, images):
    return compute_logits(open_session(content), [images])


class Gated(nn.Module):
    """A convolution, SiLU and a classifier."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        return self.head(functional.silu(self.conv(images)).mean((2, 3)))


def operators_between(graph):
    """Return the kinds of nodes that read only what was quantised."""
    dequantised = {each.output[0] for each in graph.node if each.op_type == "DequantizeLinear"}
    return {
        each.op_type
        for each in graph.node
        if each.op_type != "DequantizeLinear" and set(each.input) <= dequantised
    }


@pytest.fixture(scope="module")
def exported():
    return export_network(build_convolutional(), SIDE, "small").content


@pytest.fixture(scope="module")
def quantised(exported):
    return quantise_network(exported, draw_images(40), draw_images(16, seed=1), seed=7)


def test_weights_of_every_convolution_are_int8(quantised):
    import onnx

    graph = onnx.load_from_string(quantised.content).graph
    weights = [each for each in graph.initializer if each.data_type == onnx.TensorProto.INT8]
    shapes = {tuple(each.dims) for each in weights if len(each.dims) > 1}
    assert {(8, 3, 3, 3), (8, 8, 3, 3)} <= shapes
    assert {node.op_type for node in graph.node} >= {"QuantizeLinear", "DequantizeLinear"}


def test_logits_lie_near_those_of_the_network(exported, quantised):
    images = draw_images(50, seed=2)
    comparison = compare_logits(
        logits_of(exported, images), logits_of(quantised.content, images)
    )
    assert 0 < comparison.differences.max() < 0.15
    assert comparison.agreement >= 0.8


def test_calibration_is_recorded(quantised):
    record = quantised.record["quantisation"]
    assert record["calibration_images"] == 40
    assert record["validation_images"] == 16
    assert (record["calibration_method"], record["calibration_seed"]) == ("minmax", 7)
    assert read_record(quantised.content)["quantisation"] == record
    assert quantised.record["precision"] == "int8"


def test_granularity_with_the_smaller_error_is_taken(quantised):
    record = quantised.record["quantisation"]
    errors = record["validation_mse"]
    assert errors.keys() == {"per_channel", "per_tensor"}
    assert record["granularity"] == min(errors, key=errors.get)


def test_activations_between_products_alone_stay_in_float32():
    exported = export_network(Gated(), SIDE, "gated").content
    images = draw_images(8)
    int8 = {
        each: operators_between(
            quantise.quantise_once(exported, images, "per_channel", each).graph
        )
        for each in quantise.OPERATORS
    }
    assert {"Conv", "Sigmoid", "Mul"} <= int8["all"]
    assert "Conv" in int8["products"]
    assert int8["products"].isdisjoint({"Sigmoid", "Mul"})


def test_same_images_give_the_same_bytes(exported, quantised):
    again = quantise_network(exported, draw_images(40), draw_images(16, seed=1), seed=7)
    assert again.content == quantised.content


def test_rows_are_distinct_and_follow_from_the_seed():
    rows = draw_calibration_rows(1600)
    assert len(set(rows.tolist())) == 256
    assert rows.max() < 1600
    assert np.array_equal(rows, draw_calibration_rows(1600))
    assert not np.array_equal(rows, draw_calibration_rows(1600, seed=1))


def test_few_training_images_are_all_taken():
    assert draw_calibration_rows(5).tolist() == [0, 1, 2, 3, 4]


def test_drawing_from_no_image_is_refused():
    with pytest.raises(DataError, match="no image to draw"):
        draw_calibration_rows(0)


def test_answers_that_are_not_finite_are_never_the_best(exported, monkeypatch):
    logits = iter([np.ones((16, 5)), np.full((16, 5), np.nan), np.zeros((16, 5))])
    monkeypatch.setattr(quantise, "_logits", lambda *_: next(logits))
    images = draw_images(16, seed=1)
    record = quantise_network(exported, images, images).record["quantisation"]
    assert record["granularity"] == "per_tensor"
    assert record["validation_mse"] == {"per_tensor": 1.0}

    monkeypatch.setattr(quantise, "_logits", lambda *_: np.full((16, 5), np.nan))
    with pytest.raises(quantise.QuantisationError, match="not finite"):
        quantise_network(exported, images, images)
