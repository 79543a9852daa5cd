"""Exported networks as calls of a runtime on the CPU, with fixed settings.

The module loads no torch: the process in which memory is measured imports it, too.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from resomap.config.deploy import RuntimeName
from resomap.deploy.packages import import_package
from resomap.deploy.sessions import INPUT_NAME, OUTPUT_NAME, SESSION_SETTINGS, open_session

OPENVINO_SETTINGS = {
    # On a CPU with bf16 OpenVINO silently computes in it otherwise.
    "INFERENCE_PRECISION_HINT": "f32",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    # Pinned, the calling thread would stay on one core, also for what is measured next.
    "ENABLE_CPU_PINNING": False,
    "CPU_DENORMALS_OPTIMIZATION": False,
}

LoadedNetwork = Callable[[np.ndarray], object]
"""A call that computes the logits of normalised float32 images (N, 3, r, r)."""


def load_network(
    runtime: RuntimeName, file: Path, shape: tuple[int, ...], threads: int
) -> LoadedNetwork:
    """Return the network of an ONNX file in a runtime, for images of `shape` (N, 3, r, r).

    In ONNX Runtime it takes any other N as well.
    """
    if runtime == "onnxruntime":
        return partial(_run_session, open_session(file, threads=threads))
    core = import_package("openvino").Core()
    model = core.read_model(file)
    # With any number of images OpenVINO has to choose its kernels anew, and was slower.
    model.reshape({INPUT_NAME: list(shape)})
    settings = {**OPENVINO_SETTINGS, "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return partial(_run_request, request)


def _run_session(session: Any, images: np.ndarray) -> object:
    return session.run([OUTPUT_NAME], {INPUT_NAME: images})[0]


def _run_request(request: Any, images: np.ndarray) -> object:
    # The images are read where they are, as in ONNX Runtime.
    return request.infer({INPUT_NAME: images}, share_inputs=True)[OUTPUT_NAME]


def describe_runtime(runtime: RuntimeName, threads: int) -> dict[str, Any]:
    """Return the version of a runtime and its settings, for records."""
    if runtime == "onnxruntime":
        settings = {**SESSION_SETTINGS, "intra_op_num_threads": threads}
        return {"version": version("onnxruntime"), "batch": "dynamic", **settings}
    settings = {**OPENVINO_SETTINGS, "INFERENCE_NUM_THREADS": threads}
    return {"version": version("openvino"), "batch": "static", **settings}
