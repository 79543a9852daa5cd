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
from resomap.deploy.openvino_sessions import compile_network, openvino_record
from resomap.deploy.sessions import INPUT_NAME, OUTPUT_NAME, SESSION_SETTINGS, open_session

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
    # With any number of images OpenVINO has to choose its kernels anew, and was slower.
    compiled = compile_network(file, threads=threads, shape=shape)
    return partial(_run_request, compiled.create_infer_request())


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
    return {"batch": "static", **openvino_record(threads)}
