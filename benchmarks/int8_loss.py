"""What int8 loses: trained networks of the reef, and published weights on photographs.

usage: python -m benchmarks.int8_loss PART --work DIR

PART      sweeps    train and export, with `snakemake deploy` as a user would
          networks  fp32 against int8 of every exported cell, from deploy.csv
          methods   every calibration method and granularity on the same networks
          all       one after another

Everything is kept in DIR; what is there is not trained, fetched or quantised again. The
photographs and the weights for them are fetched as `benchmarks.photographs` does it, and are no
part of this repository.
"""

import argparse
import json
import os
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import photographs
from benchmarks.harness import ROOT, markdown, module_command, protocol, put_section
from resomap.analysis.deploy_tables import deploy_rows
from resomap.analysis.precision_loss import PrecisionLoss, measure_loss
from resomap.analysis.profiles import Row
from resomap.config.load import merge
from resomap.data.store.store import open_store
from resomap.deploy.quantise import (
    ALL_OPERATORS,
    CALIBRATION_IMAGES,
    CALIBRATION_METHODS,
    GRANULARITIES,
    OPERATORS,
    quantise_once,
)
from resomap.deploy.run import RunImages
from resomap.deploy.runtimes.onnxruntime_sessions import compute_logits, open_session
from resomap.entry.exported_run import open_images
from resomap.system.files import read_arrays, read_json, write_arrays, write_text
from resomap.training.checkpoint import load_weights, recorded_normalisation
from resomap.workflow.jobs import Export

PAGE = Path(__file__).with_name("int8_loss.md")
TITLE = "# What int8 loses\n"
CONFIDENCE, MARGIN = 0.95, 0.02
LIBRARIES = ("onnxruntime", "openvino", "timm")
SEEDS = [0, 1, 2]
DEPLOY = {
    "runtimes": ["onnxruntime", "openvino"],
    "precisions": ["fp32", "int8"],
    "cells": "all",
    "max_flips": None,
    "measurements": [],
}
SHARED: dict[str, Any] = {
    "explainability": {"enabled": False},
    "system": {"device": "cpu", "training": {"num_workers": 0}, "deploy": DEPLOY},
}
# The shipped recipe of 8 epochs.
REEF = {
    "experiment": {"name": "int8 on the reef"},
    "sweep": {
        "models": ["tiny_cnn", "efficientnet_b0", "resnet18", "mobilenet_v3_small"],
        "resolutions": [64],
        "seeds": SEEDS,
    },
}
REEF_LARGER = {
    "experiment": {"name": "int8 on the reef, larger"},
    "sweep": {"models": ["tiny_cnn"], "resolutions": [96], "seeds": SEEDS},
}
# The head alone is trained, so that the backbone is the published one to the bit.
PHOTOGRAPHS = {
    "experiment": {"name": "int8 of published weights on photographs"},
    "sweep": {"models": [photographs.ENTRY.builder], "resolutions": [128], "seeds": SEEDS},
    "training": {
        "epochs": 4,
        "optimizer": {"learning_rate": 0.01},
        "finetune": {"freeze": "backbone", "freeze_bn": True},
    },
}
SWEEPS = ("reef", "reef-96", "photographs")
SOURCE = "photographs-source"
"""Folder of the fetched photographs and weights."""
LARGEST_HISTOGRAM_SIDE = 96
MINMAX = ("minmax",)


@dataclass(frozen=True)
class Way:
    """One way to quantise a network: what computes in int8, with which ranges and scales."""

    operators: str
    method: str
    granularity: str

    def quantise(self, exported: bytes, calibration: np.ndarray) -> bytes:
        """Return the int8 network of an export."""
        model = quantise_once(
            exported, calibration, self.granularity, self.operators, self.method
        )
        content: bytes = model.SerializeToString()
        return content


def list_ways(resolution: int) -> list[Way]:
    """Return the ways that are compared at a resolution, the shipped ones first."""
    ways = [Way(*each) for each in product(OPERATORS, MINMAX, GRANULARITIES)]
    if resolution <= LARGEST_HISTOGRAM_SIDE:
        histograms = [each for each in CALIBRATION_METHODS if each not in MINMAX]
        ways += [Way(ALL_OPERATORS, *each) for each in product(histograms, GRANULARITIES)]
    return ways


def sweep_values(name: str, work: Path) -> dict[str, Any]:
    """Return the configuration of a sweep."""
    if name != "photographs":
        return merge(SHARED, REEF if name == "reef" else REEF_LARGER)
    source = (work / SOURCE).resolve()
    own = {
        "data": {"path": str(source / "images")},
        "training": {"start": photographs.pretrained_start(source)},
    }
    values = merge(merge(photographs.COMMON, SHARED), PHOTOGRAPHS)
    return merge(values, own)


def run_sweeps(options: Namespace) -> None:
    """Train and export every sweep."""
    for name in SWEEPS:
        if name == "photographs":
            photographs.fetch(Namespace(work=options.work / SOURCE))
        settings, folder = options.work / f"{name}.yaml", options.work / name
        folder.mkdir(parents=True, exist_ok=True)
        # In their order: the rules of `rename` apply one after another.
        values = sweep_values(name, options.work)
        write_text(settings, yaml.safe_dump(values, sort_keys=False))
        command = module_command("snakemake", options.target, "--directory", folder)
        command += ["--cores", "1", "--configfile", str(settings)]
        subprocess.run(command, cwd=ROOT, check=True)


@dataclass(frozen=True)
class ExportedCell:
    """The exports of one cell, a folder per seed, in the directory of their sweep."""

    sweep: Path
    folders: tuple[Path, ...]

    @cached_property
    def jobs(self) -> list[Export]:
        """The job of every export."""
        records = [read_json(folder / "export.json") for folder in self.folders]
        return [Export.from_json(json.dumps(record["job"])) for record in records]

    @cached_property
    def reference(self) -> np.ndarray:
        """The test logits in fp32 (seeds, N, classes)."""
        return np.stack([read_arrays(each / "logits.npz")["fp32"] for each in self.folders])

    def loss(self, lowered: np.ndarray) -> PrecisionLoss:
        """Return what the logits of a lower precision lose."""
        labels = read_arrays(self.folders[0] / "logits.npz")["label"]
        return measure_loss(labels, self.reference, lowered, CONFIDENCE)

    def images(self, seed: int) -> RunImages:
        """Return the images of a seed, as its export read them."""
        job = self.jobs[seed]
        parts = job.architecture.family, job.architecture.name, f"r{job.resolution}"
        weights = self.sweep.joinpath("results/checkpoints", *parts, f"seed{job.seed}")
        _, metadata = load_weights(weights / "best.safetensors")
        store = open_store(self.sweep / "results/data/manifest.json")
        return open_images(job, store.normalised_by(recorded_normalisation(metadata)))


def exported_cells(work: Path) -> Iterator[ExportedCell]:
    """Yield the cells of all sweeps with their exports."""
    for name in SWEEPS:
        records = (work / name / "results" / "deploy").glob("*/*/r*/seed*/at*/export.json")
        found = sorted(record.parent for record in records)
        for _, folders in groupby(found, key=lambda folder: folder.parents[1]):
            yield ExportedCell(work / name, tuple(folders))


def compare_networks(options: Namespace) -> str:
    """Return fp32 against int8 of every cell, in both runtimes."""
    rows = []
    for cell in exported_cells(options.work):
        records = [folder / "export.json" for folder in cell.folders]
        # Of an unfinished sweep, too: these are the rows of its deploy.csv so far.
        found = list(deploy_rows(records, MARGIN, CONFIDENCE))
        rows += [_describe_pair(*pair) for pair in zip(found[::2], found[1::2], strict=True)]
    head = ("network", "runtime", "seeds x test images", "fp32", "int8", "points lost")
    head += ("same answer", "certified", "scales, by seed", "MiB")
    return (
        "Accuracy on all test images, mean over the seeds. Points lost: accuracy in fp32 less that "
        f"in int8, with its paired {100 * CONFIDENCE:.0f} % interval over seeds and images. "
        f"Certified: the upper end is below {100 * MARGIN:.0f} points, the margin of the sweep. "
        f"The rows are those of `results/tables/deploy.csv`.\n\n{markdown(head, rows)}"
    )


def _describe_pair(fp32: Row, int8: Row) -> tuple[str, ...]:
    lost = [100 * int8[f"accuracy_lost{end}"] for end in ("", "_low", "_high")]
    return (
        f"{int8['model']} at {int8['train_resolution']} px",
        int8["runtime"],
        f"{int8['n_seeds']} x {int8['n']}",
        *(f"{each['accuracy']:.3f}" for each in (fp32, int8)),
        "{:.1f} ({:.1f} to {:.1f})".format(*lost),
        f"{100 * int8['agreement']:.1f} %",
        "yes" if int8["certified"] else "**no**",
        _count_words(int8["granularity"]),
        f"{fp32['file_mib']:.2f} to {int8['file_mib']:.2f}",
    )


def _count_words(text: str) -> str:
    counts = Counter(text.split())
    return ", ".join(f"{word} {count}" for word, count in counts.items())


def compare_methods(options: Namespace) -> str:
    """Return what each method and granularity loses, for every cell."""
    rows = []
    for every_seed in exported_cells(options.work):
        cell = replace(every_seed, folders=every_seed.folders[: options.seeds])
        job = cell.jobs[0]
        if options.models and job.architecture.name not in options.models:
            continue
        name = f"{job.architecture.name} at {job.resolution} px"
        for way in list_ways(job.resolution):
            words = name.split() + list(astuple(way))
            folder = options.work / "methods" / "-".join(words)
            quantised = [
                _quantise_seed(cell, seed, way, folder) for seed in range(len(cell.folders))
            ]
            loss = cell.loss(np.stack([each["logits"] for each in quantised]))
            errors = [float(each["validation_mse"]) for each in quantised]
            lost = [100 * each for each in (loss.lost.mean, loss.lost.low, loss.lost.high)]
            rows.append(
                (
                    *(name, *astuple(way)),
                    "{:.1f} ({:.1f} to {:.1f})".format(*lost),
                    f"{100 * loss.agreement:.1f} %",
                    ", ".join(f"{error:.2g}" for error in errors),
                )
            )
            print(*rows[-1], file=sys.stderr, flush=True)
    head = ("network", "in int8", "calibration", "scales", "points lost", "same answer")
    return (
        f"The same {CALIBRATION_IMAGES} training images, in ONNX Runtime; points lost as above, of "
        "as many seeds as the last column has values. In int8: all that the runtime computes so, "
        "or products alone, which are convolutions and products of matrices, with their ReLU. "
        "The last column is what a choice may look at: the mean squared error of the logits on "
        "validation images, by seed. Entropy as ONNX Runtime ships it, with as many bins as levels, "
        "clips nothing: its rows are those of minmax. It and percentile hold every activation of all "
        f"calibration images in memory and are left out above {LARGEST_HISTOGRAM_SIDE} px."
        f"\n\n{markdown((*head, 'validation error'), rows)}"
    )


def _quantise_seed(
    cell: ExportedCell, seed: int, way: Way, folder: Path
) -> dict[str, np.ndarray]:
    """Return test logits and validation error of one quantisation, kept in `folder`."""
    kept = folder / f"{seed}.npz"
    if not kept.exists():
        images, exported = cell.images(seed), (cell.folders[seed] / "fp32.onnx").read_bytes()
        session = open_session(way.quantise(exported, images.calibration()))
        validation = [images.validation()]
        expected = compute_logits(open_session(exported), validation)
        error = np.square(compute_logits(session, validation) - expected).mean()
        kept.parent.mkdir(parents=True, exist_ok=True)
        logits = compute_logits(session, images.test())
        write_arrays(kept, logits=logits, validation_mse=np.array(error))
    return dict(read_arrays(kept))


PARTS = {
    "networks": ("Networks", compare_networks),
    "methods": ("Calibration and scales", compare_methods),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["sweeps", *PARTS, "all"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--target", default="deploy", help="of the sweeps: `train` only trains")
    parser.add_argument("--models", nargs="*", help="of `methods`; all by default")
    parser.add_argument("--seeds", type=int, help="of `methods`: the first ones; else all")
    options = parser.parse_args(arguments)
    if options.part in ("sweeps", "all"):
        run_sweeps(options)
    for name, (title, run) in PARTS.items():
        if options.part in (name, "all"):
            load_before = os.getloadavg()[0]
            text = run(options)
            head = protocol("cpu", 1, load_before, LIBRARIES).partition(" Rounds")[0]
            put_section(PAGE, TITLE, title, f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
