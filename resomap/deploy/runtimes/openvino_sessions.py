"""Networks compiled by OpenVINO with fixed settings, and what they compute."""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from resomap.deploy.packages import import_package
from resomap.deploy.runtimes.onnxruntime_sessions import INPUT_NAME

OPENVINO_SETTINGS = {
    "device": "CPU",
    # Without it OpenVINO computes in bfloat16 where the processor can, and says so nowhere.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    # Pinned, the calling thread would stay on one core, also for what runs next.
    "ENABLE_CPU_PINNING": False,
    "CPU_DENORMALS_OPTIMIZATION": False,
}
"""Settings of every compiled network but its threads, for records."""


def compile_network(
    network: bytes | Path, *, threads: int = 1, shape: Sequence[int] | None = None
) -> Any:
    """Return an ONNX file compiled for the CPU, in float32; int8 stays where QDQ nodes say so.

    It takes any number of images, or those of `shape` (N, 3, r, r) alone, which is faster.
    """
    model = _core().read_model(network)
    if shape is not None:
        model.reshape({INPUT_NAME: list(shape)})
    return _compile(model, threads)


def compute_compiled_logits(compiled: Any, batches: Iterable[np.ndarray]) -> np.ndarray:
    """Return the float32 logits (N, classes) of batches of normalised images, in their order."""
    parts = [np.array(compiled(images)[0]) for images in batches]
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)


def compute_compiled_values(
    content: bytes, names: Sequence[str], images: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the values of an ONNX file by their names, where OpenVINO still computes them."""
    model = _core().read_model(content)
    outputs = {}
    for name in names:
        # What it folds into a constant, or drops, has no tensor of that name.
        try:
            outputs[name] = model.add_outputs(name)[0]
        except RuntimeError:
            continue
    results = _compile(model, threads=1)(images)
    by_name = {name: value for output, value in results.items() for name in output.get_names()}
    return {name: np.array(by_name[name]) for name in outputs if name in by_name}


def openvino_record(threads: int = 1) -> dict[str, Any]:
    """Return the version and the settings, for a record."""
    settings = {**OPENVINO_SETTINGS, "INFERENCE_NUM_THREADS": threads}
    return {"version": version("openvino"), **settings}


# One for the life of the process: each core gives the thread another stack for signals, and takes
# it away with itself. After two of them a signal handler would run on memory that is gone.
@cache
def _core() -> Any:
    return import_package("openvino").Core()


def _compile(model: Any, threads: int) -> Any:
    settings = {**OPENVINO_SETTINGS, "INFERENCE_NUM_THREADS": threads}
    return _core().compile_model(model, settings.pop("device"), settings)
