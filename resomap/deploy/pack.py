"""The pack: one folder with networks, golden images and programs, to measure cost on a device.

models/*.onnx     the networks, exported for one input size each
golden/*.npz      test images as resized (uint8), and the logits that were recorded for them
measure.py        proves every network, and measures its latency
prove.py          opens a network, and compares its answers with those recorded
pack.json         the networks, the sweep, and the sha256 of every other file
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resomap.config.load import read_yaml
from resomap.config.schema import Profiling
from resomap.deploy.bundle import choose_golden
from resomap.deploy.measurements import NetworkIdentity, SweepIdentity, images_digest
from resomap.system import files

PACK_FILE, SCHEMA = "pack.json", 1
PROGRAMS = ("measure.py", "prove.py")


@dataclass(frozen=True)
class PackedNetwork:
    """A network of a pack: its file, and the golden images with their recorded logits.

    The images are uint8 (N, r, r, 3), normalised by `mean` and `std` in [0, 1].
    """

    identity: NetworkIdentity
    model: Path
    mean: Sequence[float]
    std: Sequence[float]
    images: np.ndarray
    logits: np.ndarray


def sweep_identity(results: Path) -> SweepIdentity:
    """Return what distinguishes this sweep from others, for pack.json."""
    experiment = read_yaml(results / "run_config.yaml").get("experiment") or {}
    title = str(experiment.get("name") or "ResoMap")
    return SweepIdentity(title=title, images=images_digest(results))


def choose_clear(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Return the positions of golden images: of many classes, where one class leads clearly."""
    # A near tie may turn by the rounding of another processor, and prove nothing.
    highest = np.sort(logits, axis=1)
    order = np.argsort(highest[:, -2] - highest[:, -1], kind="stable")
    return order[choose_golden(labels[order])]


def write_pack(
    folder: Path, networks: Sequence[PackedNetwork], sweep: SweepIdentity, profiling: Profiling
) -> None:
    """Write the pack of `networks` into `folder`; they are measured as `profiling` says."""
    for name in PROGRAMS:
        program = Path(__file__).with_name(name)
        files.write_text(folder / name, program.read_text(encoding="utf-8"))
    described = [_write_network(folder, each) for each in networks]
    write_list(folder, described, sweep, profiling)


def _write_network(folder: Path, network: PackedNetwork) -> dict[str, Any]:
    one = network.identity
    sides = f"r{one.train_resolution}-at{one.resolution}"
    name = f"{one.family}-{one.model}-{sides}-seed{one.seed}-{one.precision}"
    model, golden = f"models/{name}.onnx", f"golden/{name}.npz"
    with files.replacing(folder / model) as temporary:
        shutil.copyfile(network.model, temporary)
    files.write_arrays(folder / golden, images=network.images, logits=network.logits)
    return describe_network(one, model, golden, network.mean, network.std)


def describe_network(
    identity: NetworkIdentity,
    model: str,
    golden: str,
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    """Return the entry of a network in pack.json."""
    return {
        "file": model,
        "golden": golden,
        "mean": list(mean),
        "std": list(std),
        "precision": identity.precision,
        "identity": identity.model_dump(),
    }


def write_list(
    folder: Path,
    networks: Sequence[dict[str, Any]],
    sweep: SweepIdentity,
    profiling: Profiling,
) -> None:
    """Write pack.json: what `measure.py` reads. All files of the networks have been written."""
    listed = [name for each in networks for name in (each["file"], each["golden"])]
    names = dict.fromkeys((*listed, *PROGRAMS))
    timing = {
        name: getattr(profiling, name) for name in ("rounds", "round_seconds", "warmup_seconds")
    }
    files.write_json(
        folder / PACK_FILE,
        {
            "kind": "resomap pack",
            "schema": SCHEMA,
            "sweep": sweep.model_dump(),
            "timing": timing,
            "networks": list(networks),
            "files": {name: files.file_sha256(folder / name) for name in names},
        },
    )
