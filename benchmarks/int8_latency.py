"""Latency of int8 by what computes in int8: a section of benchmarks/int8_loss.md.

usage: python -m benchmarks.int8_latency [--models resnet18 ...] [--sides 64 224] --work DIR

DIR keeps a record per network and side; what is there is not measured again.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.deploy import calibrate_norms
from benchmarks.harness import markdown, protocol, put_section
from benchmarks.int8_loss import LIBRARIES, PAGE, TITLE
from benchmarks.reef_sweeps import reef_values
from resomap.analysis.statistics import geometric_interval
from resomap.config.load import build_config
from resomap.config.schema import Profiling
from resomap.config.sweep_checks import find_architecture
from resomap.deploy.export import export_network
from resomap.deploy.quantise import OPERATORS, quantise_once
from resomap.deploy.runtimes.calls import load_network
from resomap.models.registry import build_model
from resomap.profiling.timing import ProcessClock, Timing, measure_rounds
from resomap.profiling.variants import RUNTIMES, build_reference
from resomap.system.files import read_json, write_json

SECTION = "Latency by what computes in int8"
MODELS = ("efficientnet_b0", "mobilenet_v3_small", "mobilenet_v2", "resnet18", "tiny_cnn")
CLASSES = 8
IMAGES = 4
CONFIDENCE = 0.95
FP32 = "fp32"
NAMES = (FP32, *OPERATORS)
NOTE = """\
Random weights, batch 1, one thread, scales per channel, {rounds} rounds in turn and in random order.
CPU time of the process per image in ms, median over the rounds, as other processes kept the machine
busy. Ratios: geometric mean over the rounds, with its {confidence:.0%} interval, and the rounds;
below 1 products alone are faster.
"""


def measure_cell(model: str, side: int, profiling: Profiling) -> dict[str, Any]:
    """Return the CPU milliseconds of a network by runtime and by what computes in int8."""
    torch.manual_seed(0)
    architecture = find_architecture(build_config(reef_values([side], 1, {})).models, model)
    network = build_model(architecture, CLASSES)
    images = np.random.default_rng(0).standard_normal((IMAGES, 3, side, side), np.float32)
    calibrate_norms(network, [images])
    exported = export_network(network, side, model).content
    networks = {FP32: exported}
    for operators in OPERATORS:
        quantised = quantise_once(exported, images, "per_channel", operators)
        networks[operators] = quantised.SerializeToString()
    keys = list(product(RUNTIMES, NAMES))
    with TemporaryDirectory() as folder:
        for name, content in networks.items():
            Path(folder, f"{name}.onnx").write_bytes(content)
        loaded = [
            load_network(runtime, Path(folder, f"{name}.onnx"), (1, 3, side, side), 1)
            for runtime, name in keys
        ]
        calls = [partial(run, images[:1]) for run in loaded]
        reference = build_reference(torch.device("cpu"))
        clocks = [ProcessClock() for _ in range(len(calls) + 1)]
        timings, _ = measure_rounds(calls, reference, profiling, clocks)
    found: dict[str, Any] = {runtime: {} for runtime in RUNTIMES}
    for (runtime, name), timing in zip(keys, timings, strict=True):
        found[runtime][name] = _cpu_ms(timing)
    return {"model": model, "px": side, "cpu_ms": found}


def _cpu_ms(timing: Timing) -> list[float]:
    return [1e3 * each.cpu_seconds / len(each.latencies_ms) for each in timing.passes]


def table_rows(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield a row per network, side and runtime."""
    for record, runtime in product(records, RUNTIMES):
        found = record["cpu_ms"][runtime]
        yield (
            *(record["model"], str(record["px"]), runtime),
            *(f"{median(found[name]):.2f}" for name in NAMES),
            *(_ratio(found["products"], found[base]) for base in ("all", FP32)),
        )


def _ratio(values: Sequence[float], base: Sequence[float]) -> str:
    # Equal places are the same round; a call that has enough undisturbed ones leaves earlier.
    pairs = list(zip(values, base, strict=False))
    interval = geometric_interval(np.log([one / other for one, other in pairs]), CONFIDENCE)
    return f"{interval.mean:.2f} ({interval.low:.2f}-{interval.high:.2f}, n = {len(pairs)})"


def main() -> None:
    """Measure the cells that the folder has no record of, and write the section."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--sides", nargs="+", type=int, default=[64, 224])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    load, records = os.getloadavg()[0], []
    profiling = build_config(reef_values([64], 1, {})).system.profiling.model_copy(
        update={"rounds": options.rounds, "target_relative_error": 1.0}
    )
    options.work.mkdir(parents=True, exist_ok=True)
    for side, model in product(options.sides, options.models):
        record = options.work / f"{model}-{side}.json"
        if not record.exists():
            write_json(record, measure_cell(model, side, profiling))
            print(record, flush=True)
        records.append(read_json(record))
    head = ("network", "px", "runtime", *NAMES, "products / all", f"products / {FP32}")
    note = NOTE.format(rounds=f"at least {options.rounds}", confidence=CONFIDENCE)
    conditions = protocol("cpu", options.rounds, load, LIBRARIES).partition(" Rounds")[0]
    text = f"{conditions}\n\n{note}\n{markdown(head, table_rows(records))}"
    put_section(PAGE, TITLE, SECTION, text)


if __name__ == "__main__":
    main()
