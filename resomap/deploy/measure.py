"""Measure how long the networks of this folder take on this machine.

python measure.py [--threads N] [--runtime openvino] [--output pi5.json]

First every network must answer its golden images as recorded (prove.py). Then all are timed in
rounds, in random order, beside a fixed reference. It needs numpy, the runtime, and the files
that pack.json lists. Copy the output back to the sweep, under the name of the device.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"error: {error}: run `pip install numpy onnxruntime`")

SCHEMA, FOLDER = 2, Path(__file__).resolve().parent
# As in the profiles of a sweep: below this CPU share other processes kept this one off the CPU,
# and a network that is disturbed is given up after twice its rounds.
MIN_CPU_SHARE, MIN_REPETITIONS, MAX_ROUNDS_FACTOR = 0.9, 3, 2
REFERENCE = -1
Call = Callable[[], object]
Json = dict[str, Any]


def describe_device(runtime: str) -> Json:
    """Return the machine, its processor and the versions of what runs."""
    processor, info = platform.processor(), Path("/proc/cpuinfo")
    for line in info.read_text(errors="replace").splitlines() if info.exists() else ():
        if line.startswith(("model name", "Model")):
            processor = line.partition(":")[2].strip()
    facts: Json = {"processor": processor, "cores": os.cpu_count(), "numpy": np.__version__}
    facts |= {"machine": platform.machine(), "system": platform.platform()}
    facts["python"] = platform.python_version()
    return {**facts, runtime: import_module(runtime).__version__}


def repeat(call: Call, seconds: float, repetitions: int) -> list[float]:
    """Return the milliseconds of calls for so many seconds, at least `repetitions` of them."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while len(latencies) < repetitions or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        latencies.append((time.perf_counter() - start) * 1e3)
    return latencies


def time_round(call: Call, timing: Json) -> Json:
    """Return the latencies of one round after its share of the warm-up."""
    repeat(call, timing["warmup_seconds"] / timing["rounds"], 1)
    wall, cpu = time.perf_counter(), time.process_time()
    latencies = repeat(call, timing["round_seconds"], MIN_REPETITIONS)
    # Several threads use more CPU time than wall time: one of them at least has to run.
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    return {"ms": latencies, "median": median(latencies), "valid": share >= MIN_CPU_SHARE}


def summarise(passes: list[Json], needed: int) -> Json:
    """Return the latencies of the undisturbed rounds, or of all if those are too few."""
    clean = [each for each in passes if each["valid"]]
    valid = len(clean) >= needed
    rounds = clean if valid else passes
    latencies = [latency for each in rounds for latency in each["ms"]]
    p50, p90 = np.percentile(latencies, [50, 90]).tolist()
    ratios = [each["median"] / each["reference"] for each in rounds]
    result: Json = {"valid": valid, "why_invalid": None if valid else "crowded"}
    result |= {"n": len(latencies), "tried": len(passes)}
    result |= {"latency_ms_p50": p50, "latency_ms_p90": p90}
    result["latency_ms_rounds"] = [each["median"] for each in rounds]
    return result | {"ratio_to_reference": median(ratios), "ratio_rounds": ratios}


def measure(
    networks: Sequence[Json], calls: Sequence[Callable[[], Call]], timing: Json, save: Call
) -> None:
    """Time the networks that are unmeasured in rounds; `save` keeps what is known so far."""
    order = random.Random(0)  # noqa: S311  (an order, no secret)
    passes = [list[Json]() for _ in networks]
    save()
    while left := [i for i, each in enumerate(networks) if each["status"] == "unmeasured"]:
        made = {}
        for position in order.sample([REFERENCE, *left], len(left) + 1):
            # One network at a time: all of them may not fit into the memory of a small device.
            made[position] = time_round(calls[position](), timing)
        for position in left:
            tried, needed = passes[position], timing["rounds"]
            tried.append({**made[position], "reference": made[REFERENCE]["median"]})
            enough = sum(each["valid"] for each in tried) >= needed
            if enough or len(tried) >= MAX_ROUNDS_FACTOR * needed:
                networks[position] |= {"status": "ok", "timing": summarise(tried, needed)}
        save()


def write_record(record: Json, output: Path) -> None:
    """Write the record with its digest; a run that is cut off leaves one that is not complete."""
    record["complete"] = all(each["status"] != "unmeasured" for each in record["networks"])
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    temporary = output.with_name(f"{output.name}.part")
    temporary.write_text(json.dumps({**record, "sha256": digest}, indent=1), encoding="utf-8")
    os.replace(temporary, output)


def main(arguments: Sequence[str]) -> int:
    """Prove and measure all networks; return 1 where one of them cannot be used."""
    import prove  # type: ignore[import-not-found]  # the file beside this one

    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    prove.add_options(parser)
    parser.add_argument("--output", type=Path, default=FOLDER / "measurement.json")
    options = parser.parse_args(arguments)
    pack, device = prove.read_pack(), describe_device(options.runtime)
    networks, matrix = [], np.random.default_rng(0).normal(size=(128, 128))
    calls: list[Any] = [partial(prove.open_call, each, options) for each in pack["networks"]]
    for each in pack["networks"]:
        identity = {**each["identity"], "sha256": pack["files"][each["file"]], "timing": None}
        networks.append({**identity, **prove.prove_apart(each, options)})
        print(f"{each['file']}: {networks[-1]['why'] or 'answers as recorded'}", flush=True)
    # einsum, because matmul takes every core.
    calls.append(lambda: lambda: np.einsum("ij,jk->ik", matrix, matrix))
    record = {"kind": "resomap measurement", "schema": SCHEMA, "sweep": pack["sweep"]}
    record |= {"device": device, "runtime": options.runtime, "threads": options.threads}
    settings = {"session": prove.SETTINGS[options.runtime], "timing": pack["timing"]}
    record |= {"settings": settings, "networks": networks}
    measure(networks, calls, pack["timing"], lambda: write_record(record, options.output))
    unusable = sum(each["status"] != "ok" for each in networks)
    crowded = sum(not each["timing"]["valid"] for each in networks if each["timing"])
    print(f"{options.output}: {unusable} of {len(networks)} unusable, {crowded} crowded")
    return int(bool(unusable))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception as error:  # of the folder, of the output, or a package is missing
        sys.exit(f"error: {error}")
