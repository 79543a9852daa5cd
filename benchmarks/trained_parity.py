"""Parity of trained networks beside PyTorch's own rounding: a section of benchmarks/deploy.md.

usage: python -m benchmarks.trained_parity [--models efficientnet_b1 ...] [--sides 64 ...] --work DIR

DIR keeps the training and a record of every network and side; what is there is not computed again.
"""

import argparse
import copy
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.deploy import IMAGES, SIDES, TITLE, calibrate_norms, read_batches
from benchmarks.harness import ROOT, markdown, protocol, put_section
from benchmarks.reef_sweeps import SmallSweep, reef_values
from resomap.config.sweep_checks import find_architecture
from resomap.data.store.store import open_store
from resomap.deploy.export import export_network
from resomap.deploy.network_parity import LOGIT_TOLERANCE, compare_logits, prove_parity
from resomap.models.registry import build_model
from resomap.system.files import read_json, write_json
from resomap.training.checkpoint import load_weights

SECTION = "Parity of trained networks"
MODELS = ("efficientnet_b1", "efficientnet_v2_s")
TRAINED_SIDE = 64
EPOCHS, BATCH_SIZE = 2, 16
REEF = {"train": 1600, "val": 400, "test": IMAGES}
RANDOM = "random"
TRAINED = "trained"
NOTE = """\
Trained: {epochs} epochs of {train} reef images in batches of {batch} ({steps} steps) at {side} px, the
shipped recipe otherwise, the epoch with the smallest validation loss. Every row: {images} reef test
images, resized to the side; the largest difference of a logit over the range of all logits, and in
brackets the images beyond {tolerance:g}. Accuracy is that of PyTorch in float32 on these images
(chance: .125). The last three columns are three pairs: the proof (export in ONNX Runtime against
PyTorch, both float32), PyTorch in float32 against PyTorch in float64, and the export against PyTorch
in float64.
"""
RANDOM_NOTE = """\
Random: random weights, with the statistics of BatchNorm of training images at {side} px, much as in
the section above.
"""
HEAD = (
    *("network", "weights", "px", "accuracy", "flips", "proven"),
    *("export, PyTorch", "PyTorch, float64", "export, float64"),
)


PAIRS = ("proof", "torch", "export")
"""What the last columns of the table compare, in their order."""


def open_reef(work: Path, model: str) -> SmallSweep:
    """Return the sweep of a network, whose data all networks share in `work`."""
    values = reef_values(
        SIDES, 1, REEF, model, training={"epochs": EPOCHS, "batch_size": BATCH_SIZE}
    )
    return SmallSweep(work / "reef", values)


def open_trained(sweep: SmallSweep, model: str) -> nn.Module:
    """Return a network with the best weights of its training."""
    architecture = find_architecture(sweep.config.models, model)
    keys = {"family": architecture.family, "model": model}
    files = sweep.train({**keys, "resolution": str(TRAINED_SIDE), "seed": "0"})
    state, _ = load_weights(files["weights"])
    network = build_model(architecture, open_store(sweep.file("manifest")).num_classes)
    network.load_state_dict(state)
    return network.eval()


def open_random(sweep: SmallSweep, model: str) -> nn.Module:
    """Return a network with random weights, and statistics of BatchNorm from the reef."""
    torch.manual_seed(0)
    store = open_store(sweep.file("manifest"))
    network = build_model(find_architecture(sweep.config.models, model), store.num_classes)
    calibrate_norms(network, read_batches(store, "train", SIDES[0]))
    return network


OPENERS = {TRAINED: open_trained, RANDOM: open_random}


def prove_side(network: nn.Module, sweep: SmallSweep, name: str, side: int) -> dict[str, Any]:
    """Return the parity of an export at one side, and how float64 differs from both."""
    store = open_store(sweep.file("manifest"))
    batches = partial(read_batches, store, "test", side)
    content = export_network(network, side, name).content
    sources = [str(row) for row in range(IMAGES)]
    parity = prove_parity(network, content, batches, name, sources)
    exact = compute_exact(network, batches())
    labels = np.asarray(store.labels("test"))
    pairs = (
        (parity.reference, parity.exported),
        (exact, parity.reference),
        (exact, parity.exported),
    )
    differences = [compare_logits(*pair).differences.tolist() for pair in pairs]
    return {
        "px": side,
        "accuracy": float((parity.reference.argmax(axis=1) == labels).mean()),
        "parity": parity.record(),
        "differences": dict(zip(PAIRS, differences, strict=True)),
    }


@torch.inference_mode()
def compute_exact(network: nn.Module, batches: Iterator[np.ndarray]) -> np.ndarray:
    """Return the logits of a copy of the network in float64."""
    exact = copy.deepcopy(network).double().eval()
    return np.concatenate([exact(torch.from_numpy(each).double()).numpy() for each in batches])


def record_path(work: Path, model: str, weights: str, side: int) -> Path:
    """Return the file of a record."""
    return work / f"{model}-{weights}-{side}.json"


def table_rows(records: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield a row per network, kind of weights and side."""
    for record in records:
        parity = record["parity"]
        yield (
            *(record["model"], record["weights"], str(record["px"])),
            *(f"{record['accuracy']:.3f}", str(parity["flips"])),
            "yes" if parity["deployable"] else "**no**",
            *(_describe(np.array(record["differences"][each])) for each in PAIRS),
        )


def _describe(differences: np.ndarray) -> str:
    beyond = int((~(differences <= LOGIT_TOLERANCE)).sum())
    return f"{differences.max():.0e} ({beyond})"


def write_section(out: Path, records: Sequence[dict[str, Any]], load: float) -> None:
    """Write the section from the records."""
    has_random = any(record["weights"] == RANDOM for record in records)
    note = (NOTE + RANDOM_NOTE if has_random else NOTE).format(
        epochs=EPOCHS,
        train=REEF["train"],
        batch=BATCH_SIZE,
        steps=EPOCHS * (REEF["train"] // BATCH_SIZE),
        side=TRAINED_SIDE,
        images=IMAGES,
        tolerance=LOGIT_TOLERANCE,
    )
    head = protocol("cpu", 1, load, ("onnx", "onnxruntime")).partition(" Rounds")[0]
    text = f"{head}\n\n{note}\n{markdown(HEAD, table_rows(records))}"
    put_section(out, TITLE, SECTION, text)


def main() -> None:
    """Prove the networks that the folder has no record of, and write a section of all records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--weights", nargs="+", choices=OPENERS, default=list(OPENERS))
    parser.add_argument("--sides", nargs="+", type=int, default=SIDES)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "deploy.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    for model, weights in product(options.models, options.weights):
        sweep = open_reef(options.work, model)
        sweep.prepare()
        network = OPENERS[weights](sweep, model)
        for side in options.sides:
            record = record_path(options.work, model, weights, side)
            if not record.exists():
                found = prove_side(network, sweep, f"{model} with {weights} weights", side)
                write_json(record, {"model": model, "weights": weights, **found})
                print(record, flush=True)
    paths = [record_path(options.work, *each) for each in product(MODELS, OPENERS, SIDES)]
    write_section(options.out, [read_json(path) for path in paths if path.exists()], load)


if __name__ == "__main__":
    main()
