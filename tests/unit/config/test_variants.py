import pytest

from resomap.config.load import build_config, merge
from resomap.errors import ConfigError


def build(defaults, *variants):
    values = {"system": {"profiling": {"variants": list(variants)}}}
    return build_config(merge(defaults, values)).system.profiling.variants


@pytest.mark.parametrize(
    "name", ["eager", "onnxruntime", "openvino", "compiled-bf16-contiguous"]
)
def test_variant_that_infers_may_rank_the_cells(defaults, name):
    assert build(defaults, name, "onnxruntime-int8", "openvino-int8")[0] == name


@pytest.mark.parametrize(
    "name",
    [
        "onnx",
        "onnxruntime-fp32",
        "openvino-bf16",
        "onnxruntime-contiguous",
        "eager-int8",
        "eager\n",
    ],
)
def test_unknown_variant_is_refused_with_the_known_ones(defaults, name):
    with pytest.raises(ConfigError) as error:
        build(defaults, "eager", name)
    message = str(error.value)
    assert message.startswith("config/system.yaml: system.profiling.variants.1: ")
    assert "is no variant: use eager, compiled, cuda_graph, training_step" in message
    assert "onnxruntime, onnxruntime-int8, openvino, openvino-int8" in message


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("training_step", "list eager before it"),
        ("training_step-bf16", "list eager before it"),
        ("onnxruntime-int8", "list onnxruntime or eager before it"),
        ("openvino-int8", "list openvino or eager before it"),
    ],
)
def test_variant_that_cannot_rank_cells_is_not_first(defaults, name, better):
    with pytest.raises(ConfigError, match=better):
        build(defaults, name, "eager")
