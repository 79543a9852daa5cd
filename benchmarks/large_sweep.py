"""A sweep too large for one machine: its cells and rates, on paper or from a plan."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from resomap.config.architecture import Architecture
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture

SECONDS_PER_HOUR = 3600
BYTES_PER_FLOAT = 4
REFERENCE_RESOLUTION = 224

Assumptions = Mapping[str, float]


class Assumption(NamedTuple):
    """A number that is not derived: its value, its meaning, and its source."""

    value: float
    meaning: str
    source: str


ASSUMPTIONS = {
    "train": Assumption(1_280_000, "training images", "ImageNet-1k, rounded"),
    "held_out": Assumption(
        50_000,
        "images for selection, and as many for the report",
        "its validation set; the other is split off, not subtracted",
    ),
    "classes": Assumption(1000, "classes", "ImageNet-1k"),
    "epochs": Assumption(90, "epochs", "the usual recipe; the rest is proportional"),
    "batch": Assumption(256, "images per step", "the usual recipe"),
    "flops": Assumption(790e12, "FLOP/s in bf16", "an H200, achievable"),
    "bandwidth": Assumption(4.3e12, "bytes/s of its memory", "an H200, achievable"),
    "passes": Assumption(
        7.5, "transfers of each convolution or norm output per step", "counted below"
    ),
    "launch": Assumption(20e-6, "s per step and layer of kernel launches", "4 kernels of 5 us"),
    "share": Assumption(0.5, "of that bound is reached", "our goal; not measured"),
    "price": Assumption(2.5, "USD per GPU hour", "a round figure of 2025"),
    "gpus": Assumption(64, "GPUs at once", "`jobs: 64` of profiles/slurm"),
    "gpus_a_node": Assumption(8, "GPUs per node", "usual"),
    "node_hours": Assumption(
        6335, "h between failures of a node", "419 in 54 days of 16,384 GPUs (Llama 3, 2024)"
    ),
    "restart": Assumption(
        300,
        "s from a failure until work continues, without queueing",
        "start-up 0.5 min, the rest reading images",
    ),
    "save_speed": Assumption(
        0.25e9,
        "bytes/s of a save, digest and fsync included",
        "measured: 0.22 (VGG-16), 0.37 (ResNet-18)",
    ),
    "limit": Assumption(24, "h of wall time per job", "a usual partition"),
    "node_memory": Assumption(1000e9, "bytes of memory per node", "usual"),
    "jpeg": Assumption(159e3, "bytes of a JPEG of 512 px", "docs/notes/large-data.md"),
}
# A plan replaces these by measurements.
PAPER_ASSUMPTIONS = (
    *("train", "held_out", "classes", "epochs", "batch"),
    *("flops", "bandwidth", "passes", "launch", "share"),
)


class SweepCell(NamedTuple):
    """A model at a resolution: training images per second on one device, and its parameters."""

    model: str
    resolution: int
    rate: float
    parameters: int


@dataclass(frozen=True)
class LargeSweep:
    """The cells, images, epochs and seeds of a sweep.

    `unit` is the device of its hours; `measured_on` names the machine of its rates, None on
    paper.
    """

    cells: Sequence[SweepCell]
    train: int
    held_out: int
    classes: int
    epochs: int
    seeds: int
    unit: str
    measured_on: str | None

    @cached_property
    def models(self) -> dict[str, int]:
        """Parameters of each model."""
        return {cell.model: cell.parameters for cell in self.cells}

    @cached_property
    def resolutions(self) -> list[int]:
        """Resolutions in ascending order."""
        return sorted({cell.resolution for cell in self.cells})

    @property
    def num_runs(self) -> int:
        """Number of trainings."""
        return len(self.cells) * self.seeds

    def hours(self, cell: SweepCell) -> float:
        """Return the hours of one training; validation costs a third per image."""
        images = self.train + self.held_out / 3
        return self.epochs * images / cell.rate / SECONDS_PER_HOUR

    def evaluation_hours(self) -> float:
        """Return the hours of scoring every run on both held-out splits at each resolution."""
        images = 2 * self.held_out * len(self.resolutions) * self.seeds
        return sum(images / (3 * cell.rate) for cell in self.cells) / SECONDS_PER_HOUR

    @cached_property
    def training_hours(self) -> float:
        """Hours of all trainings."""
        return self.seeds * sum(map(self.hours, self.cells))


class ModelCounts(NamedTuple):
    """Size of a model: parameters and layers, MACs and weighted outputs at 224 px.

    `outputs` counts the elements that layers with weights put out.
    """

    parameters: int
    macs: int
    outputs: int
    layers: int


def paper_rate(counts: ModelCounts, resolution: int, assumed: Assumptions) -> float:
    """Return training images per second on paper: `share` of the eager bound.

    A step does arithmetic (6 FLOPs per MAC: forward, and twice that backward) and memory
    traffic (bf16) one after the other, both proportional to the area, or launches kernels if
    that takes longer.
    """
    area = (resolution / REFERENCE_RESOLUTION) ** 2
    arithmetic = 6 * counts.macs / assumed["flops"]
    traffic = 2 * assumed["passes"] * counts.outputs / assumed["bandwidth"]
    step = assumed["batch"] * (area * (arithmetic + traffic))
    return assumed["share"] * assumed["batch"] / max(step, counts.layers * assumed["launch"])


def count_model(architecture: Architecture, classes: int) -> ModelCounts:
    """Count a model on the meta device."""
    import torch

    from resomap.models.registry import build_model
    from resomap.profiling.summary import count_macs

    with torch.device("meta"):
        model = build_model(architecture, classes)
    outputs: list[int] = []
    for module in model.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(lambda _, __, output: outputs.append(output.numel()))
    macs = count_macs(model, REFERENCE_RESOLUTION)
    layers = sum(not list(module.children()) for module in model.modules())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelCounts(parameters, macs, sum(outputs), layers)


def paper_sweep(config: Config, assumed: Assumptions) -> LargeSweep:
    """Return the grid of `config` on ImageNet, at rates on paper."""
    train, held_out, classes, epochs = (
        int(assumed[name]) for name in ("train", "held_out", "classes", "epochs")
    )
    cells: list[SweepCell] = []
    for name in config.sweep.models:
        counts = count_model(find_architecture(config.models, name), classes)
        for resolution in config.sweep.resolutions:
            rate = paper_rate(counts, resolution, assumed)
            cells.append(SweepCell(name, resolution, rate, counts.parameters))
    seeds = len(config.sweep.seeds)
    return LargeSweep(cells, train, held_out, classes, epochs, seeds, "GPU", None)


def planned_sweep(plan: Mapping[str, Any]) -> LargeSweep:
    """Return the feasible cells of a results/plan.json at their measured rates."""
    images = plan["images"]
    cells = []
    for cell in plan["cells"]:
        if cell["status"] == "ok":
            architecture = Architecture.model_validate_json(json.dumps(cell["architecture"]))
            parameters = count_model(architecture, images["classes"]).parameters
            rate = cell["train_images_per_second"]
            cells.append(SweepCell(cell["model"], cell["resolution"], rate, parameters))
    return LargeSweep(
        cells,
        train=images["train"],
        held_out=(images["val"] + images["test"]) // 2,
        classes=images["classes"],
        epochs=plan["settings"]["training"]["epochs"],
        seeds=plan["seeds"],
        unit=plan["totals"]["unit"],
        measured_on=plan["machine"],
    )
