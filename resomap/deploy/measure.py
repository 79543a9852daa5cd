"""Measure how long the network in this folder takes on this machine.

python measure.py [THREADS]    prove the golden images, then write measurement.json

It needs numpy, Pillow, onnxruntime and the files of the bundle beside it.
"""

import hashlib
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SCHEMA = 2
# As in the profiling of a sweep: rounds of network and reference in random order, of which
# disturbed ones do not count.
ROUNDS, MAX_ROUNDS, ROUND_SECONDS, WARM_UP_SECONDS, MIN_REPETITIONS = 5, 10, 0.5, 1.0, 3
MIN_CPU_SHARE = 0.9  # below it, other processes kept this one off the CPU
FILES = ("model.onnx", "preprocessing.json", "labels.txt", "golden.npz", "predict.py")


def digest(path: Path) -> str:
    """Return the sha256 of a file, by which a sweep recognises its own bundle."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe_device() -> dict[str, Any]:
    """Return the machine, its processor and the versions of what runs."""
    import onnxruntime

    processor, info = platform.processor(), Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                processor = line.partition(":")[2].strip()
                break
    return {
        "node": platform.node(),
        "machine": platform.machine(),
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def repeat(call: Callable[[], object], seconds: float, repetitions: int) -> list[float]:
    """Return the milliseconds of calls for so many seconds, at least `repetitions` of them."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while len(latencies) < repetitions or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        latencies.append((time.perf_counter() - start) * 1e3)
    return latencies


def measure_round(call: Callable[[], object]) -> tuple[list[float], bool]:
    """Return the milliseconds of one round, and whether the machine was ours meanwhile."""
    wall, cpu = time.perf_counter(), time.process_time()
    latencies = repeat(call, ROUND_SECONDS, MIN_REPETITIONS)
    # Several threads use more CPU time than wall time: one of them at least has to run.
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return latencies, share >= MIN_CPU_SHARE


def measure(network: Callable[[], object], reference: Callable[[], object]) -> dict[str, Any]:
    """Time `network` in rounds, beside the fixed work of `reference`."""
    for call in (network, reference):
        repeat(call, WARM_UP_SECONDS, 1)
    order = random.Random(0)  # noqa: S311  (an order, no secret)
    valid: list[tuple[list[float], float]] = []
    tried = 0
    while len(valid) < ROUNDS and tried < MAX_ROUNDS:
        calls = {"network": network, "reference": reference}
        names = order.sample(sorted(calls), 2)
        made = {name: measure_round(calls[name]) for name in names}
        tried += 1
        if all(undisturbed for _, undisturbed in made.values()):
            valid.append((made["network"][0], median(made["reference"][0])))
    latencies = [each for of_round, _ in valid for each in of_round]
    result: dict[str, Any] = {
        "valid": len(valid) >= ROUNDS,
        "rounds": len(valid),
        "tried": tried,
    }
    if latencies:
        p50, p90 = np.percentile(latencies, [50, 90]).tolist()
        ratios = [median(of_round) / reference_ms for of_round, reference_ms in valid]
        medians = [median(of_round) for of_round, _ in valid]
        result |= {"latency_ms_p50": p50, "latency_ms_p90": p90, "n": len(latencies)}
        result |= {"round_medians_ms": medians, "ratio": median(ratios)}
    return result


def main(arguments: Sequence[str]) -> int:
    """Prove the golden images, measure, and write measurement.json; return the exit code."""
    folder = Path(__file__).resolve().parent
    sys.path.insert(0, str(folder))
    import predict  # type: ignore[import-not-found]

    threads = int(arguments[0]) if arguments else 1
    spec = predict.load_preprocessing(folder / "preprocessing.json")
    network = predict.load_network(folder, threads)
    problems = predict.check(network, folder / "golden.npz", spec)
    if problems:
        print("\n".join(f"error: {each}" for each in problems), file=sys.stderr)
        return 1
    with np.load(folder / "golden.npz", allow_pickle=False) as stored:
        batch = predict.normalise(stored["images"][:1], spec)
    inputs = {network.get_inputs()[0].name: batch}
    matrix = np.random.default_rng(0).normal(size=(256, 256))
    timing = measure(lambda: network.run(None, inputs), lambda: matrix @ matrix)
    digests = {name: digest(folder / name) for name in FILES}
    record = {"schema": SCHEMA, "runtime": "onnxruntime", "threads": threads, "bundle": digests}
    record |= {"device": describe_device(), "timing": timing}
    text = json.dumps(record, indent=2, sort_keys=True)
    record["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    output = folder / "measurement.json"
    output.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    p50 = timing.get("latency_ms_p50", float("nan"))
    print(f"{output}: {p50:.3g} ms an image, valid: {timing['valid']}")
    return int(not timing["valid"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
