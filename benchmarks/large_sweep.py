"""A sweep too large for one machine: its cells, pictures and rates, on paper or from a plan, and every number that was not derived."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from resomap.config.load import find_architecture
from resomap.config.schema import Architecture, Config

HOUR = 3600
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Assumption:
    """A number that was not derived, what it is, and where it comes from."""

    value: float
    what: str
    source: str


ASSUMED = {
    "train": Assumption(1_280_000, "training pictures", "ImageNet-1k, rounded"),
    "held_out": Assumption(
        50_000,
        "pictures to choose on, and as many to report on",
        "its validation folder; the other dealt, not subtracted",
    ),
    "classes": Assumption(1000, "classes", "ImageNet-1k"),
    "epochs": Assumption(90, "epochs", "the usual recipe; the rest is proportional"),
    "batch": Assumption(256, "pictures a step", "the same"),
    "flops": Assumption(790e12, "FLOP/s in bf16", "an H200, achievable"),
    "bandwidth": Assumption(4.3e12, "bytes/s of its memory", "an H200, achievable"),
    "passes": Assumption(
        7.5,
        "times that each output of a convolution or norm travels in a step",
        "counted below",
    ),
    "launch": Assumption(20e-6, "s a step and layer to launch kernels", "4 kernels of 5 us"),
    "share": Assumption(0.5, "of that bound is reached", "our goal; measured by nobody"),
    "price": Assumption(2.5, "USD a GPU hour", "a round figure of 2025"),
    "gpus": Assumption(64, "GPUs at once", "`jobs: 64` of profiles/slurm"),
    "gpus_a_node": Assumption(8, "GPUs a node", "usual"),
    "node_hours": Assumption(
        6335, "h between failures of a node", "419 in 54 days of 16,384 GPUs (Llama 3, 2024)"
    ),
    "restart": Assumption(
        300,
        "s from a failure to work again, the queue apart",
        "start-up .5 min, the rest reading pictures",
    ),
    "save_speed": Assumption(
        0.25e9,
        "bytes/s of a save, digest and fsync included",
        "measured here: .22 (VGG-16), .37 (ResNet-18)",
    ),
    "limit": Assumption(24, "h that a job may take", "a usual partition"),
    "node_memory": Assumption(1000e9, "bytes of memory a node", "usual"),
    "jpeg": Assumption(159e3, "bytes of a JPEG of 512 px", "docs/notes/large-data.md"),
}

OF_PAPER = (
    "train",
    "held_out",
    "classes",
    "epochs",
    "batch",
    "flops",
    "bandwidth",
    "passes",
    "launch",
    "share",
)
"""What a plan says instead."""


@dataclass(frozen=True)
class Cell:
    """A network at a resolution: training pictures a second on one device, and its parameters."""

    model: str
    resolution: int
    rate: float
    parameters: int


@dataclass(frozen=True)
class Sweep:
    """What is reckoned: the cells, how many pictures, epochs and seeds, and what was measured of it on which device, if anything."""

    cells: Sequence[Cell]
    train: int
    held_out: int
    classes: int
    epochs: int
    seeds: int
    unit: str
    measured_on: str | None

    @cached_property
    def models(self) -> dict[str, int]:
        """Parameters of each network."""
        return {cell.model: cell.parameters for cell in self.cells}

    @cached_property
    def resolutions(self) -> list[int]:
        """Ascending."""
        return sorted({cell.resolution for cell in self.cells})

    def hours(self, cell: Cell) -> float:
        """Of one training: a validated picture costs a third of a trained one."""
        return self.epochs * (self.train + self.held_out / 3) / cell.rate / HOUR

    def evaluation_hours(self) -> float:
        """Of scoring every run on both held-out splits at each resolution of its model."""
        return (
            sum(
                2 * self.held_out * len(self.resolutions) * self.seeds / (3 * cell.rate)
                for cell in self.cells
            )
            / HOUR
        )

    @cached_property
    def training_hours(self) -> float:
        """Of all trainings."""
        return self.seeds * sum(map(self.hours, self.cells))


def paper_rate(
    macs: int, outputs: int, layers: int, resolution: int, assumed: dict[str, float]
) -> float:
    """Training pictures/s of a network with these MACs and output elements at 224 px: `share` of the eager bound.

    Arithmetic (6 FLOPs a MAC: forward, and twice that backward) and traffic (bf16) one after the other, both growing with the
    area; or the launches of a step, where they take longer.
    """
    area = (resolution / 224) ** 2
    picture = area * (
        6 * macs / assumed["flops"] + 2 * assumed["passes"] * outputs / assumed["bandwidth"]
    )
    return (
        assumed["share"]
        * assumed["batch"]
        / max(assumed["batch"] * picture, layers * assumed["launch"])
    )


def counted(architecture: Architecture, classes: int) -> tuple[int, int, int, int]:
    """Parameters of a network; MACs at 224 px, elements that layers with weights put out there; and its layers."""
    import torch

    from resomap.models.registry import build_model
    from resomap.profiling.summary import count_macs

    with torch.device("meta"):
        model = build_model(architecture, classes)
    outputs = list[int]()
    for module in model.modules():
        if list(module.parameters(recurse=False)):
            module.register_forward_hook(lambda _, __, output: outputs.append(output.numel()))
    macs = count_macs(model, 224)
    layers = sum(not list(module.children()) for module in model.modules())
    return sum(each.numel() for each in model.parameters()), macs, sum(outputs), layers


def paper_sweep(config: Config, assumed: dict[str, float]) -> Sweep:
    """ImageNet under the grid of `config`, at `share` of what a GPU could do at most."""
    cells, classes = list[Cell](), int(assumed["classes"])
    for name in config.sweep.models:
        parameters, macs, outputs, layers = counted(
            find_architecture(config.models, name), classes
        )
        rates = {
            side: paper_rate(macs, outputs, layers, side, assumed)
            for side in config.sweep.resolutions
        }
        cells += [Cell(name, side, rate, parameters) for side, rate in rates.items()]
    train, held_out, epochs = (int(assumed[name]) for name in ("train", "held_out", "epochs"))
    return Sweep(cells, train, held_out, classes, epochs, len(config.sweep.seeds), "GPU", None)


def planned_sweep(plan: dict[str, Any]) -> Sweep:
    """The sweep of a results/plan.json, at the rates measured in it; cells that do not fit are left out."""
    fitting = [cell for cell in plan["cells"] if cell["status"] == "ok"]
    classes = plan["images"]["classes"]
    parameters = {
        cell["model"]: counted(
            Architecture.model_validate_json(json.dumps(cell["architecture"])), classes
        )[0]
        for cell in fitting
    }
    cells = [
        Cell(
            cell["model"],
            cell["resolution"],
            cell["train_images_per_second"],
            parameters[cell["model"]],
        )
        for cell in fitting
    ]
    pictures, epochs = plan["images"], plan["settings"]["training"]["epochs"]
    held_out = (pictures["val"] + pictures["test"]) // 2
    return Sweep(
        cells,
        pictures["train"],
        held_out,
        classes,
        epochs,
        plan["seeds"],
        plan["totals"]["unit"],
        plan["machine"],
    )
