import numpy as np
import pytest
import torch

from resomap.deploy.export import export_network
from resomap.deploy.quantise import quantise_network
from resomap.deploy.runtimes.calls import describe_runtime, load_network
from resomap.deploy.sessions import SESSION_SETTINGS
from tests.exported_networks import SIDE, build_convolutional, draw_images
from tests.optional_packages import require_packages

require_packages("onnx", "onnxscript", "onnxruntime", "openvino")

RUNTIMES = ("onnxruntime", "openvino")


@pytest.fixture(scope="module")
def network():
    return build_convolutional()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """The file of an exported network."""
    file = tmp_path_factory.mktemp("export") / "small.onnx"
    file.write_bytes(export_network(network, SIDE, "small").content)
    return file


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runtime_computes_the_logits_of_torch_in_float32(network, exported, runtime):
    images = draw_images(7)
    run = load_network(runtime, exported, images.shape, threads=1)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    # bf16, which OpenVINO takes by default where the CPU has it, errs by 1e-2 of the range.
    assert np.abs(run(images) - expected).max() < 1e-5 * np.ptp(expected)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_int8_differs_from_float32_and_stays_near(exported, runtime, tmp_path):
    images, quantised = draw_images(32), tmp_path / "int8.onnx"
    quantised.write_bytes(quantise_network(exported.read_bytes(), images, images).content)
    exact, rough = (
        load_network(runtime, file, images.shape, threads=1)(images)
        for file in (exported, quantised)
    )
    assert 1e-4 < np.abs(rough - exact).max() / np.ptp(exact) < 0.2


def test_settings_and_version_are_recorded():
    session = describe_runtime("onnxruntime", 3)
    assert session["intra_op_num_threads"] == 3
    assert SESSION_SETTINGS["intra_op_num_threads"] == 1
    compiled = describe_runtime("openvino", 3)
    assert compiled["INFERENCE_NUM_THREADS"] == 3
    assert compiled["INFERENCE_PRECISION_HINT"] == "f32"
    assert all(record["version"] for record in (session, compiled))


def test_threads_and_precision_reach_the_compiled_network(exported):
    run = load_network("openvino", exported, (2, 3, SIDE, SIDE), threads=2)
    (request,) = run.args
    compiled = request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == "f32"
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_threads_reach_the_session(exported):
    run = load_network("onnxruntime", exported, (2, 3, SIDE, SIDE), threads=2)
    (session,) = run.args
    assert session.get_session_options().intra_op_num_threads == 2
