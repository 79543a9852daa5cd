import numpy as np
import pytest
import torch

from resomap.deploy.export import export_network
from resomap.deploy.network_parity import compare_logits
from resomap.deploy.openvino_parity import ProvenRun, prove_in_openvino
from resomap.deploy.quantise import quantise_network
from resomap.deploy.runtimes.openvino_sessions import (
    compile_network,
    compute_compiled_logits,
    compute_compiled_values,
)
from tests.exported_networks import (
    SIDE,
    build_convolutional,
    change_tensor,
    draw_images,
    tensor_of,
)
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime", "openvino")

IMAGES = draw_images(20)
SOURCES = [f"reef/{number}.png" for number in range(20)]


def batches():
    return [IMAGES[:16], IMAGES[16:]]


@pytest.fixture(scope="module")
def network():
    return build_convolutional()


@pytest.fixture(scope="module")
def exported(network):
    return export_network(network, SIDE, "small").content


@pytest.fixture(scope="module")
def quantised(exported):
    return quantise_network(exported, draw_images(40), draw_images(16, seed=1)).content


@pytest.fixture(scope="module")
def reference(network):
    with torch.no_grad():
        return network(torch.from_numpy(IMAGES)).numpy()


def prove(network, reference, exports):
    return prove_in_openvino(
        ProvenRun(network, reference, exports, batches, SOURCES, "small at 16 px")
    )


def permute_bias(content, module):
    import onnx

    model = onnx.load_from_string(content)
    change_tensor(model, tensor_of(model, module, 2), np.flip)
    return model.SerializeToString()


def test_both_precisions_are_run_and_fp32_is_proven(network, reference, exported, quantised):
    proof = prove(network, reference, {"fp32": exported, "int8": quantised})
    assert (proof.record["parity"]["images"], proof.record["parity"]["flips"]) == (20, 0)
    assert proof.record["parity"]["largest_difference"] < 1e-5
    assert proof.record["failures"] == {"fp32": None, "int8": None}
    difference = compare_logits(reference, proof.logits["int8"]).differences.max()
    assert 0 < difference < 0.15


@pytest.mark.parametrize("module", ["0.1", "1.bn2", "3", "8"])
def test_wrong_network_is_named_with_its_layer(network, reference, exported, module):
    wrong = permute_bias(exported, module)
    proof = prove(network, reference, {"fp32": wrong, "int8": exported})
    failure = proof.record["failures"]["fp32"]
    assert failure.startswith("small at 16 px, in OpenVINO: the exported network differs on ")
    assert f"They first part at {module} (" in failure
    assert proof.logits.keys() == {"fp32"}


def test_file_that_it_cannot_read_is_a_failure(network, reference, exported):
    proof = prove(network, reference, {"fp32": exported[:100]})
    assert proof.record["parity"] is None
    assert "small at 16 px: OpenVINO cannot run its fp32: " in proof.record["failures"]["fp32"]
    assert proof.logits == {}


def test_bad_int8_leaves_the_proof_of_fp32(network, reference, exported):
    proof = prove(network, reference, {"fp32": exported, "int8": exported[:100]})
    assert proof.record["parity"]["deployable"]
    assert "cannot run its int8" in proof.record["failures"]["int8"]
    assert proof.logits.keys() == {"fp32"}


def test_precision_without_a_network_is_not_run(network, reference, exported):
    proof = prove(network, reference, {"fp32": exported, "int8": b""})
    assert proof.record["failures"] == {"fp32": None}


def test_network_computes_in_float32_on_given_threads(exported):
    compiled = compile_network(exported, threads=2)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert compute_compiled_logits(compiled, []).shape == (0, 0)


def test_values_inside_are_those_of_the_nodes(exported, reference):
    values = compute_compiled_values(exported, ["logits", "nothing"], IMAGES)
    assert values.keys() == {"logits"}
    assert np.abs(values["logits"] - reference).max() < 1e-4
