"""The program that proves networks on a device: its settings, and what a crash leaves."""

import argparse
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from resomap.deploy import predict, prove
from resomap.deploy.runtimes import onnxruntime_sessions, openvino_sessions
from tests.optional_packages import require_packages

require_packages("onnxruntime")
CONFIG_ENTRIES = ("session.intra_op.allow_spinning", "session.set_denormal_as_zero")


def test_sessions_on_a_device_have_the_settings_of_a_profile(tmp_path, monkeypatch):
    import onnxruntime

    opened = []

    def open_session(source, options, providers):
        opened.append((options, providers))
        return SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name="images")])

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    onnxruntime_sessions.open_session(tmp_path / "a.onnx", threads=2)
    prove.open_network(tmp_path / "a.onnx", "onnxruntime", 2)
    profile, device = (
        {
            "providers": providers,
            "intra": options.intra_op_num_threads,
            "inter": options.inter_op_num_threads,
            "mode": options.execution_mode,
            "level": options.graph_optimization_level,
            **{name: options.get_session_config_entry(name) for name in CONFIG_ENTRIES},
        }
        for options, providers in opened
    )
    assert device == profile
    assert device["intra"] == 2


def test_settings_of_openvino_on_a_device_are_those_of_a_profile():
    settings = dict(openvino_sessions.OPENVINO_SETTINGS)
    assert settings.pop("device") == "CPU"
    assert settings == prove.OPENVINO


def test_golden_images_are_normalised_as_by_predict(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 5, 3), np.uint8)
    spec = {"mean": [0.49, 0.45, 0.4], "std": [0.23, 0.22, 0.21]}
    np.savez(tmp_path / "golden.npz", images=images, logits=np.zeros((3, 2), np.float32))
    monkeypatch.setattr(prove, "FOLDER", tmp_path)
    made, _ = prove.load_golden({**spec, "golden": "golden.npz"})
    assert np.array_equal(made, predict.normalise(images, spec))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_answers_that_are_not_finite_differ(monkeypatch, value, precision):
    expected = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    images = np.zeros((2, 3, 1, 1), np.float32)
    monkeypatch.setattr(prove, "load_golden", lambda _: (images, expected))
    answers = iter(expected)
    equal = prove.find_difference(lambda _: next(answers)[None], {"precision": precision})
    assert equal is None
    answers = iter([expected[0], np.array([1.0, value], np.float32)])
    found = prove.find_difference(lambda _: next(answers)[None], {"precision": precision})
    assert found is not None


@pytest.mark.parametrize(
    ("printed", "code", "status"),
    [
        ("hint of a runtime\n", -11, "failed"),
        ('{"why": null, "peak_memory_mib": 3.0}\nhint\n', -11, "unmeasured"),
        ('hint\n{"why": "2 differ", "peak_memory_mib": null}\n', 1, "wrong answers"),
        ("", 1, "failed"),
    ],
)
def test_crash_and_hints_of_a_runtime_are_no_answer(monkeypatch, printed, code, status):
    child = SimpleNamespace(stdout=printed, stderr="ValueError: planted", returncode=code)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: child)
    options = argparse.Namespace(threads=1, runtime="onnxruntime")
    assert prove.prove_apart({"file": "models/a.onnx"}, options)["status"] == status
