"""Every shipped network in the runtimes: export, parity, size, and latency against eager.

usage: python -m benchmarks.deploy [--models resnet18 ...] [--rounds 9] --work DIR

DIR keeps a file per network: an interrupted run goes on with the next one. The page
benchmarks/deploy.md is written from all files in DIR.
"""

import argparse
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.harness import ROOT, markdown, protocol, put_section
from benchmarks.reef_sweeps import reef_values
from resomap.analysis.statistics import geometric_interval
from resomap.config.load import build_config
from resomap.config.schema import Profiling
from resomap.config.sweep_checks import find_architecture
from resomap.config.training import Precision
from resomap.data.loading.augment import Normalise
from resomap.data.store.store import Store, open_store
from resomap.deploy.network_parity import prove_parity
from resomap.deploy.runtimes.calls import describe_runtime, load_network
from resomap.deploy.runtimes.networks import RuntimeNetworks
from resomap.entry import prepare_data, resize_data
from resomap.models.registry import build_model
from resomap.profiling.cells import draw_images
from resomap.profiling.timing import Clock, ProcessClock, Timing, measure_rounds
from resomap.profiling.variants import (
    build_reference,
    build_workload,
    parse_variant,
    prepare_model,
)
from resomap.system.files import read_json, write_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job

TITLE = "# Deployment: the shipped networks in the runtimes\n"
SIDES = (64, 96, 224)
IMAGES = 200
BATCH_SIZE = 25
MIB = 2**20
CONFIDENCE = 0.95
VARIANTS = ("eager", "onnxruntime", "onnxruntime-int8", "openvino", "openvino-int8")
CPU = torch.device("cpu")
PRECISION: Precision = "fp32"
NOTE = """\
One thread, batch 1, float32 in eager mode with channels_last. Weights are random, and the
statistics of BatchNorm are those of {calibration} reef images. Parity: logits of {images} reef
test images (128 px, resized to each side), the largest difference over the range of all logits,
and the images whose class differs. CPU seconds of the export (torch.onnx) and of the quantisation
(per channel and per tensor, on 4 images). Sizes of the files in MiB. Median latency in ms of at
least {rounds} rounds; `*` marks cells with fewer undisturbed rounds.
Ratios: geometric mean over the rounds of runtime and eager in the same round, with its 95 %
interval; below 1 the runtime is faster. The load average above is the highest before a network.
ONNX Runtime {onnxruntime}, OpenVINO {openvino}.
"""
TURN_NOTE = """\
Two cells turn where the cheaper one in eager mode is the dearer one in the runtime. Cells are
compared by their latency over that of the reference workload in the same rounds, since networks
were measured one after the other. `clear`: by more than 10 % in both.
"""
CALIBRATION_IMAGES = 64


def prepare_images(folder: Path) -> Path:
    """Make the reef images at all sides, unless `folder` has them; return the manifest."""
    manifest = folder / "data" / "manifest.json"
    images = {"train": CALIBRATION_IMAGES, "val": 16, "test": IMAGES}
    config = build_config(reef_values(SIDES, 1, images))
    if not manifest.exists():
        manifest.parent.mkdir(parents=True, exist_ok=True)
        options = prepare_data.PrepareOptions(download=False, resolutions=SIDES)
        prepare_data.main(build_job(config, jobs.PrepareData), manifest, options, threads=1)
        for side in SIDES:
            job = build_job(config, jobs.ResizeData, resolution=str(side))
            resize_data.main(job, manifest, threads=1)
    return manifest


def read_batches(store: Store, split: str, side: int) -> Iterator[np.ndarray]:
    """Yield the normalised images of a split (B, 3, side, side)."""
    normalise, stored = Normalise(store.mean, store.std, CPU), store.images(split, side)
    for start in range(0, len(stored), BATCH_SIZE):
        images = torch.from_numpy(np.array(stored[start : start + BATCH_SIZE]))
        yield normalise(images).contiguous().numpy()


@torch.no_grad()
def calibrate_norms(network: nn.Module, batches: Iterable[np.ndarray]) -> None:
    """Set the statistics of BatchNorm to those of images: with random weights maps overflow."""
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    if norms:
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.momentum = None
        network.train()
        for images in batches:
            network(torch.from_numpy(images))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    network.eval()


def measure_network(name: str, store: Store, profiling: Profiling) -> dict[str, Any]:
    """Export a network at every side, prove it and time it; return its record."""
    torch.manual_seed(0)
    config = build_config(reef_values(SIDES, 1, {}))
    architecture = find_architecture(config.models, name)
    network = build_model(architecture, store.num_classes)
    calibrate_norms(network, read_batches(store, "train", SIDES[0]))
    runtimes = {each: describe_runtime(each, 1) for each in ("onnxruntime", "openvino")}
    load = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        exports = RuntimeNetworks(Path(folder), name, 1)
        cells = [_export(network, store, exports, side) for side in SIDES]
        timings = _time(network, exports, profiling)
    for cell in cells:
        cell["variants"] = timings[cell["px"]]
    return {"model": name, "load": load, "runtimes": runtimes, "cells": cells}


def _export(
    network: nn.Module, store: Store, exports: RuntimeNetworks, side: int
) -> dict[str, Any]:
    """Return seconds and sizes of the exports at one side, and the parity of fp32."""
    start = process_time()
    file = exports.export(network, side, "fp32")
    exported = process_time()
    quantised = exports.export(network, side, "int8")
    seconds = {"export_s": exported - start, "quantise_s": process_time() - exported}
    batches = partial(read_batches, store, "test", side)
    sources = [str(row) for row in range(IMAGES)]
    parity = prove_parity(network, file.read_bytes(), batches, exports.name, sources)
    sizes = {"bytes": file.stat().st_size, "int8_bytes": quantised.stat().st_size}
    return {"px": side, **seconds, **sizes, "parity": parity.record()}


def _time(
    network: nn.Module, exports: RuntimeNetworks, profiling: Profiling
) -> dict[int, dict[str, Any]]:
    """Time all variants at all sides in the same rounds; return a record by side and variant."""
    keys = list(itertools.product(SIDES, VARIANTS))
    calls, clocks = [], [Clock()]
    for side, name in keys:
        variant = parse_variant(name, PRECISION, profiling.memory_format)
        images = draw_images(side, 1)
        if variant.in_runtime:
            file = exports.export(network, side, variant.precision)
            run = load_network(variant.mode, file, tuple(images.shape), 1)
            calls.append(partial(run, images.numpy()))
        else:
            calls.append(
                build_workload(prepare_model(network, variant, CPU), variant, images).run
            )
        clocks.append(ProcessClock() if variant.in_runtime else Clock())
    timings, _ = measure_rounds(calls, build_reference(CPU), profiling, clocks)
    by_key = dict(zip(keys, timings, strict=True))
    return {
        side: {
            name: _timing_record(by_key[side, name], by_key[side, "eager"]) for name in VARIANTS
        }
        for side in SIDES
    }


def _timing_record(timing: Timing, eager: Timing) -> dict[str, Any]:
    # Both take part in every pass until they have enough, so equal places are the same pass.
    logs = [
        float(np.log(one.median_ms / other.median_ms))
        for one, other in zip(timing.passes, eager.passes, strict=False)
        if not one.disturbed and not other.disturbed
    ]
    return {
        "ms": timing.percentile_ms(50),
        "over_reference": timing.ratio,
        "valid": timing.valid,
        "rounds": len(timing.rounds),
        "log_ratios": logs,
    }


def cell_rows(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield a row per network and side."""
    for record in records:
        for cell in record["cells"]:
            parity, variants = cell["parity"], cell["variants"]
            yield (
                *(record["model"], str(cell["px"])),
                f"{parity['largest_difference']:.0e}, {parity['flips']}",
                *(f"{cell['export_s']:.1f}", f"{cell['quantise_s']:.1f}"),
                *(f"{cell[size] / MIB:.2f}" for size in ("bytes", "int8_bytes")),
                *(_milliseconds(variants[name]) for name in VARIANTS),
                *(_ratio(variants[name]) for name in ("onnxruntime", "openvino")),
            )


def _milliseconds(timing: dict[str, Any]) -> str:
    return f"{timing['ms']:.2f}{'' if timing['valid'] else '*'}"


def _ratio(timing: dict[str, Any]) -> str:
    if len(timing["log_ratios"]) < 2:
        return "not measured"
    interval = geometric_interval(np.array(timing["log_ratios"]), CONFIDENCE)
    ends = f"{interval.low:.2f}-{interval.high:.2f}, n = {len(timing['log_ratios'])}"
    return f"{interval.mean:.2f} ({ends})"


CELL_HEAD = (
    *("network", "px", "parity, flips", "export s", "int8 s", "MiB", "int8 MiB"),
    *(
        "eager",
        "ORT",
        "ORT int8",
        "OpenVINO",
        "OpenVINO int8",
        "ORT / eager",
        "OpenVINO / eager",
    ),
)
TURN_HEAD = ("against eager", "pairs", "turned", "share", "turned, clear", "pairs, clear")
CLEAR = 1.1


def turn_rows(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield how many pairs of cells change places between eager and each runtime."""
    cells = [cell["variants"] for record in records for cell in record["cells"]]
    for name in VARIANTS[1:]:
        turned = clear = clear_turned = pairs = 0
        for one, other in itertools.combinations(cells, 2):
            first, second = (
                one[each]["over_reference"] / other[each]["over_reference"]
                for each in ("eager", name)
            )
            is_clear = min(max(first, 1 / first), max(second, 1 / second)) > CLEAR
            is_turned = (first < 1) != (second < 1)
            pairs += 1
            clear += is_clear
            turned += is_turned
            clear_turned += is_clear and is_turned
        yield (
            name,
            str(pairs),
            str(turned),
            f"{turned / pairs:.1%}",
            str(clear_turned),
            str(clear),
        )


def gain_rows(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield over all cells how much faster each runtime is than eager, and int8 than fp32."""
    cells = [cell["variants"] for record in records for cell in record["cells"]]
    pairs = [(name, "eager") for name in VARIANTS[1:]]
    pairs += [(f"{name}-int8", name) for name in ("onnxruntime", "openvino")]
    for name, base in pairs:
        ratios = [cell[name]["over_reference"] / cell[base]["over_reference"] for cell in cells]
        slower = sum(ratio > 1 for ratio in ratios)
        middle = f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        yield name, base, middle, f"{slower} of {len(ratios)}"


def write_page(out: Path, records: Sequence[dict[str, Any]], rounds: int) -> None:
    """Write the page from the records of all networks that were measured."""
    load = max(record["load"] for record in records)
    versions = {name: each["version"] for name, each in records[0]["runtimes"].items()}
    note = NOTE.format(calibration=CALIBRATION_IMAGES, images=IMAGES, rounds=rounds, **versions)
    invalid = sum(
        not timing["valid"]
        for record in records
        for cell in record["cells"]
        for timing in cell["variants"].values()
    )
    failed = [
        f"{record['model']} at {cell['px']} px"
        for record in records
        for cell in record["cells"]
        if not cell["parity"]["deployable"]
    ]
    conditions = protocol("cpu", rounds, load, ("onnx", "onnxruntime", "openvino"))
    text = (
        f"{conditions}\n{note}\n{markdown(CELL_HEAD, cell_rows(records))}\n"
        f"{len(records)} networks, {sum(len(each['cells']) for each in records)} cells. "
        f"Not proven: {', '.join(failed) or 'none'}. Measurements with too few undisturbed "
        f"rounds: {invalid}.\n\n"
        f"Over all cells, median (lowest-highest):\n\n"
        f"{markdown(('variant', 'over', 'ratio', 'slower'), gain_rows(records))}\n"
        f"{TURN_NOTE}\n{markdown(TURN_HEAD, turn_rows(records))}"
    )
    put_section(out, TITLE, "Runtimes against eager", text)


def main() -> None:
    """Measure the networks that the folder has no record of, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    config = build_config(reef_values(SIDES, 1, {}))
    names = [model.name for model in config.models]
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for files that are kept"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "deploy.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    store = open_store(prepare_images(options.work))
    profiling = config.system.profiling.model_copy(
        # Exactly the rounds that are needed: precision is in the interval.
        update={"rounds": options.rounds, "target_relative_error": 1.0}
    )
    for name in options.models:
        record = options.work / f"{name}.json"
        if not record.exists():
            write_json(record, measure_network(name, store, profiling))
            print(name, flush=True)
    records = [read_json(options.work / f"{name}.json") for name in options.models]
    write_page(options.out, records, options.rounds)


if __name__ == "__main__":
    main()
