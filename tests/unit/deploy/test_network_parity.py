import copy
import math

import numpy as np
import pytest
import torch

from resomap.config.load import build_config, shipped_values
from resomap.config.sweep_checks import find_architecture
from resomap.deploy.export import export_network, node_module
from resomap.deploy.network_parity import compare_logits, prove_parity
from resomap.deploy.runtimes.onnxruntime_sessions import run_file
from resomap.errors import DataError
from resomap.models.registry import build_model
from tests.exported_networks import (
    SIDE,
    SmallTransformer,
    build_convolutional,
    change_tensor,
    draw_images,
    tensor_of,
)
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime")

IMAGES = draw_images(20)
SOURCES = [f"reef/{number}.png" for number in range(20)]
CELL = "small at 16 px, seed 0"
# The norm of each convolution that took one, and the convolution.
FOLDED = {
    "0.1": "0.0",
    "1.bn1": "1.conv1",
    "1.bn2": "1.conv2",
    "5.bn1": "5.conv1",
    "5.bn2": "5.conv2",
}


def batches():
    return [IMAGES[:16], IMAGES[16:]]


@pytest.fixture(scope="module")
def convolutional():
    network = build_convolutional()
    return network, export_network(network, SIDE, "small").content


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(0)
    network = SmallTransformer().eval()
    return network, export_network(network, SIDE, "transformer").content


def prove(network, content):
    return prove_parity(network, content, batches, CELL, SOURCES)


def plant(exported, module, place, change):
    """Return the failure of a network with one changed tensor."""
    import onnx

    network, content = exported
    model = onnx.load_from_string(content)
    name = module if place is None else tensor_of(model, module, place)
    change_tensor(model, name, change)
    return prove(network, model.SerializeToString()).failure


def changed(logits, row, column, by):
    """Return a copy of the logits with one that is larger."""
    others = logits.copy()
    others[row, column] += by
    return others


def permute(values):
    return np.roll(values, 1, axis=0)


def swap_channels(values):
    return values[:, ::-1]


@pytest.mark.parametrize("kind", ["convolutional", "transformer"])
def test_right_export_is_deployable(kind, request):
    network, content = request.getfixturevalue(kind)
    parity = prove(network, content)
    assert parity.failure is None
    assert parity.record()["flips"] == 0
    assert parity.record()["largest_difference"] < 1e-5


@pytest.mark.parametrize("module", [*FOLDED, "3", "8"])
def test_permuted_bias_is_named(convolutional, module):
    failure = plant(convolutional, module, 2, permute)
    assert failure.parting.layer == module


def norm_of_random_statistics(network):
    """Change every norm of a network: without it the biases of a folded one are all zero."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    return network.eval()


@pytest.fixture(scope="module")
def shipped():
    import onnx

    architecture = find_architecture(build_config(shipped_values()).models, "resnet18")
    network = norm_of_random_statistics(build_model(architecture, 8, SIDE))
    model = onnx.load_from_string(export_network(network, SIDE, "resnet18").content)
    modules = [node_module(node) for node in model.graph.node if len(node.input) > 2]
    return network, model, modules


TRIALS = 20


@pytest.mark.parametrize("seed", range(TRIALS))
def test_permuted_bias_of_a_shipped_network_is_named(shipped, seed):
    network, model, modules = shipped
    generator = np.random.default_rng(seed)
    module, wrong = generator.choice(modules), copy.deepcopy(model)
    change_tensor(wrong, tensor_of(wrong, module, 2), generator.permutation)
    content, few = wrong.SerializeToString(), [IMAGES[:4]]
    failure = prove_parity(network, content, lambda: few, CELL, SOURCES).failure
    assert failure.parting.layer == module
    assert not failure.parting.wrong_weights or module == "fc"


def test_export_compared_with_itself_flips_exactly_nothing(shipped):
    content = shipped[1].SerializeToString()
    comparison = compare_logits(run_file(content, batches()), run_file(content, batches()))
    assert comparison.flips.sum() == comparison.differences.max() == 0


@pytest.mark.parametrize("module", [*FOLDED, "3"])
def test_swapped_channels_of_a_convolution_are_named(convolutional, module):
    failure = plant(convolutional, module, 1, swap_channels)
    assert failure.parting.layer == module
    assert failure.parting.operation == "Conv"


@pytest.mark.parametrize("module", FOLDED)
def test_norm_folded_without_its_mean_is_named(convolutional, module):
    norm = convolutional[0].get_submodule(module)
    bias = norm.bias.detach().numpy()
    failure = plant(convolutional, module, 2, lambda _: bias)
    assert failure.parting.layer == module
    assert any(name.startswith(FOLDED[module]) for name in failure.parting.weights)


@pytest.mark.parametrize("module", FOLDED)
def test_norm_folded_without_its_scale_is_named(convolutional, module):
    convolution = convolutional[0].get_submodule(FOLDED[module])
    weight = convolution.weight.detach().numpy()
    failure = plant(convolutional, module, 1, lambda _: weight)
    assert failure.parting.layer == module


def test_norm_in_front_of_a_convolution_is_named(convolutional):
    assert plant(convolutional, "4.1", 1, permute).parting.layer == "4.1"


def test_wrong_position_embedding_is_named(transformer):
    failure = plant(transformer, "pos_embed", None, lambda values: np.roll(values, 1, axis=1))
    assert failure.parting.layer == "norm"
    assert failure.parting.wrong_weights == ("pos_embed",)


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("patches.bias", "patches"),
        ("norm.weight", "norm"),
        ("norm.bias", "norm"),
        ("mlp.0.bias", "mlp.0"),
        ("mlp.2.bias", "mlp.2"),
        ("head.bias", "head"),
    ],
)
def test_permuted_tensor_of_a_transformer_is_named(transformer, tensor, layer):
    failure = plant(transformer, tensor, None, permute)
    assert failure.parting.layer == layer
    assert failure.parting.wrong_weights == (tensor,)


def test_failure_names_cell_image_and_layer(convolutional):
    failure = plant(convolutional, "3", 2, permute)
    row = failure.row
    text = str(failure)
    assert text.startswith(f"{CELL}: the exported network differs on ")
    assert f"most on image {row} (reef/{row}.png)" in text
    assert "They first part at 3 (Conv with 3.weight, 3.bias)" in text
    assert "; not the network's: 3.bias" in text
    assert text.endswith("This network is not deployable.")


def test_failure_on_a_late_image_is_found(convolutional):
    network, content = convolutional
    images = np.zeros_like(IMAGES)
    images[18] = IMAGES[18]
    import onnx

    model = onnx.load_from_string(content)
    # Without an image the swapped channels of the first convolution compute the same.
    change_tensor(model, tensor_of(model, "0.1", 1), swap_channels)
    failure = prove_parity(
        network, model.SerializeToString(), lambda: [images[:16], images[16:]], CELL, SOURCES
    ).failure
    assert (failure.row, failure.images, failure.of_images) == (18, 1, 20)


def test_layers_that_agree_blame_the_optimisations(convolutional, monkeypatch):
    network, content = convolutional
    monkeypatch.setattr(
        "resomap.deploy.network_parity.run_file", lambda *_: np.zeros((20, 5), "f4")
    )
    failure = prove(network, content).failure
    assert failure.parting is None
    assert "optimisations of the runtime" in str(failure)


def test_nan_is_not_equal():
    reference = np.array([[0.0, 1.0], [1.0, 0.0]])
    others = np.array([[0.0, math.nan], [1.0, 0.0]])
    assert compare_logits(reference, others).beyond.tolist() == [True, False]


def test_difference_counts_relative_to_the_range_of_all_logits():
    reference = np.array([[0.0, 1.0], [-100.0, 100.0]])
    close = compare_logits(reference, changed(reference, 0, 1, 0.019))
    far = compare_logits(reference, changed(reference, 0, 1, 0.021))
    assert not close.beyond.any()
    assert far.beyond.tolist() == [True, False]


def test_flipped_class_fails_however_near_the_logits():
    reference = np.array([[1.0, 1.00001], [0.0, 9.0]])
    comparison = compare_logits(reference, changed(reference, 0, 0, 0.00002))
    assert comparison.beyond.tolist() == [True, False]
    assert comparison.agreement == 0.5


def test_self_comparison_has_no_difference():
    logits = np.random.default_rng(0).normal(size=(50, 7))
    comparison = compare_logits(logits, logits)
    assert comparison.flips.sum() == comparison.differences.max() == 0


@pytest.mark.parametrize("shape", [(0, 5), (3, 5)])
def test_other_images_are_refused(shape):
    with pytest.raises(DataError, match="same images"):
        compare_logits(np.zeros((shape[0] and 4, 5)), np.zeros(shape))
