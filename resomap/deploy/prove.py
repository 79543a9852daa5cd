"""Prove that a network of this folder answers its golden images on this machine as recorded.

python prove.py FILE [--threads N] [--runtime openvino]    FILE as in pack.json

measure.py starts it for each network, since one may crash. It needs numpy and the runtime.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
# Largest difference of a logit over the range of all; processors round int8 differently.
LIMITS = {"fp32": 1e-4, "int8": 0.1}
OPENVINO = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
OPENVINO |= {"ENABLE_CPU_PINNING": False, "CPU_DENORMALS_OPTIMIZATION": False}
PROVIDERS = ["CPUExecutionProvider"]
# Idle threads would otherwise spin, and take the processor from what is measured next.
ONNXRUNTIME = {"session.intra_op.allow_spinning": "0", "session.set_denormal_as_zero": "0"}
SETTINGS = {"onnxruntime": ONNXRUNTIME, "openvino": OPENVINO}
Network = Callable[[np.ndarray], np.ndarray]


def open_network(path: Path, runtime: str, threads: int) -> Network:
    """Return the network as a function of one image; without `threads` it would take every core."""
    if runtime == "openvino":
        import openvino

        model = openvino.Core().read_model(path)
        model.reshape([1, *list(model.input(0).partial_shape)[1:]])  # any number is slower
        settings = {**OPENVINO, "INFERENCE_NUM_THREADS": threads}
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        return lambda images: np.asarray(compiled(images)[0])
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    for key, value in ONNXRUNTIME.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(str(path), options, providers=PROVIDERS)
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images})[0])


def read_pack() -> dict[str, Any]:
    """Return the content of pack.json; ValueError where a file is not as it was packed."""
    pack = dict(json.loads((FOLDER / "pack.json").read_text(encoding="utf-8")))
    changed = []
    for name, digest in pack["files"].items():
        path = FOLDER / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            changed.append(name)
    if changed:
        raise ValueError(f"missing or changed: {', '.join(changed)}: copy the folder again")
    return pack


def load_golden(network: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return golden images, normalised, float32 (N, 3, r, r), and the logits recorded for them."""
    with np.load(FOLDER / network["golden"], allow_pickle=False) as stored:
        images, logits = stored["images"], stored["logits"]
    mean, std = np.float32(network["mean"]), np.float32(network["std"])
    scale, shift = np.float32(1) / (np.float32(255) * std), -mean / std
    # In float64, rounded once: the fused multiply-add of the training path gives these bits.
    values = images * scale.astype(np.float64) + shift.astype(np.float64)
    return np.ascontiguousarray(values.astype(np.float32).transpose(0, 3, 1, 2)), logits


def open_call(network: dict[str, Any], options: argparse.Namespace) -> Callable[[], np.ndarray]:
    """Return the network as a call on one golden image."""
    run = open_network(FOLDER / network["file"], options.runtime, options.threads)
    images = load_golden(network)[0][:1]
    return lambda: run(images)


def find_difference(run: Network, network: dict[str, Any]) -> str | None:
    """Return how the answers differ from those recorded; None where they agree."""
    images, expected = load_golden(network)
    logits = np.concatenate([run(image[None]) for image in images])
    error = float(np.abs(logits - expected).max() / np.ptp(expected))
    flips = int((logits.argmax(axis=1) != expected.argmax(axis=1)).sum())
    limit = LIMITS[network["precision"]]
    agree = error <= limit and not flips  # NaN compares false
    found = f"{flips} of {len(images)} classes differ, and logits by {error:.1e} of their range"
    return None if agree else f"{found} (at most {limit:g})"


def memory_mib(key: str) -> float:
    """Return a line of the memory of this process in proc(5); NaN where Linux does not run."""
    status = Path("/proc/self/status")
    found = re.search(rf"{key}:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def prove_apart(network: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Return how a network answers its golden images, in a process of its own that may crash."""
    flags = ["--threads", str(options.threads), "--runtime", options.runtime]
    command = [sys.executable, __file__, network["file"], *flags]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    # A runtime may print, too, and crash after that.
    if printed := re.findall(r'^{"why".*', child.stdout, re.MULTILINE):
        result = json.loads(printed[-1])
        return {"status": "wrong answers" if result["why"] else "unmeasured", **result}
    reasons = [f"exit code {child.returncode}", *child.stderr.strip().splitlines()]
    return {"status": "failed", "why": reasons[-1], "peak_memory_mib": None}


def parse_threads(text: str) -> int:
    """Return the number of threads; 0 would mean every core to a runtime."""
    if not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"{text}, but 1 to 1024 are possible")
    return int(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that measure.py has, too."""
    parser.add_argument("--threads", type=parse_threads, default=1, metavar="N")
    parser.add_argument("--runtime", choices=sorted(SETTINGS), default="onnxruntime")


def main(arguments: Sequence[str]) -> int:
    """Print the difference, or null, and the peak memory, as JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    networks = json.loads((FOLDER / "pack.json").read_text(encoding="utf-8"))["networks"]
    parser.add_argument("file", choices=[each["file"] for each in networks])
    add_options(parser)
    options = parser.parse_args(arguments)
    network = next(each for each in networks if each["file"] == options.file)
    import_module(options.runtime)
    before = memory_mib("VmRSS")
    run = open_network(FOLDER / options.file, options.runtime, options.threads)
    difference = find_difference(run, network)
    peak = memory_mib("VmHWM") - before
    print(json.dumps({"why": difference, "peak_memory_mib": peak if peak > 0 else None}))
    return int(difference is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
