"""Sessions of ONNX Runtime with fixed settings, and the logits that they compute."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from resomap.deploy.packages import import_package
from resomap.errors import ResoMapError


class RuntimeRefusal(ResoMapError):
    """An exported network that a runtime cannot run."""


INPUT_NAME, OUTPUT_NAME = "images", "logits"
PROVIDERS = ["CPUExecutionProvider"]
QUIET = 3
"""Log level of errors: hints about unused constants are for developers of exporters."""
SESSION_SETTINGS = {
    "providers": PROVIDERS,
    "intra_op_num_threads": 1,
    "inter_op_num_threads": 1,
    "execution_mode": "sequential",
    "graph_optimization_level": "all",
    # Idle threads would otherwise spin, and take the processor from what is measured next.
    "allow_spinning": False,
    # Subnormal numbers as PyTorch computes them; they are slow on some processors.
    "denormal_as_zero": False,
}
"""Settings of a session on one thread, for records. Without them it takes all cores."""


def open_session(network: bytes | Path, *, threads: int = 1, optimised: bool = True) -> Any:
    """Return a session of an ONNX file or of its bytes, which the session keeps beside its own.

    `optimised=False` runs its nodes as written.
    """
    runtime = import_package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = SESSION_SETTINGS["inter_op_num_threads"]
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    level = runtime.GraphOptimizationLevel
    options.graph_optimization_level = (
        level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    )
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "0")
    options.log_severity_level = QUIET
    source = str(network) if isinstance(network, Path) else network
    return runtime.InferenceSession(source, options, providers=PROVIDERS)


def run_file(content: bytes, batches: Iterable[np.ndarray]) -> np.ndarray:
    """Return the logits of an ONNX file; RuntimeRefusal where ONNX Runtime cannot run it."""
    try:
        return compute_logits(open_session(content), batches)
    except Exception as error:
        # Its errors have no class in common, and those of reading images are none of its own.
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise RuntimeRefusal(f"ONNX Runtime cannot run it: {reason}") from error


def compute_logits(session: Any, batches: Iterable[np.ndarray]) -> np.ndarray:
    """Return the float32 logits (N, classes) of batches of normalised images, in their order."""
    parts = [session.run([OUTPUT_NAME], {INPUT_NAME: images})[0] for images in batches]
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
