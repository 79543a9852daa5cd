"""Recipes compared: linear probe, fine-tuning, frozen BatchNorm, crops from the file.

usage: python -m benchmarks.photograph_recipes PART --work DIR [--cores 1]

PART      recipes   on the photographs, at one resolution, against the recipe of the example
          longer    random weights for more epochs, at the smallest resolution
          crops     random crops from native and from resized images, on the default reef
          all       one after another

DIR is that of `python -m benchmarks.photographs`, whose two sweeps have to be finished for
`recipes` and `longer`. Finished trainings are kept there. Each part replaces its section of
benchmarks/photograph_recipes.md.
"""

import argparse
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness import (
    ROOT,
    markdown,
    module_command,
    protocol,
    put_section,
    run_processes,
)
from benchmarks.photographs import (
    CONFIDENCE,
    PRETRAINED,
    RANDOM,
    format_interval,
    write_settings,
)
from resomap.analysis.accuracies import accuracy_intervals
from resomap.analysis.sweep_comparison import compare_sweeps, read_runs
from resomap.config.load import merge, read_yaml
from resomap.system.files import write_text
from resomap.workflow.lifecycle import read_run_config
from resomap.workflow.predictions import RAW

PAGE = ROOT / "benchmarks" / "photograph_recipes.md"
TITLE = "# Recipes for pretrained weights\n"
SIDE, SMALL_SIDE, REEF_SIDE = 128, 64, 48
MANY_EPOCHS = 40
ONLY_TRAIN: dict[str, Any] = {
    "evaluation": {"modes": ["raw"]},
    "explainability": {"enabled": False},
}
CROP = {"scale": [0.35, 1.0], "ratio": [0.75, 1.3333]}
FROM_FILE = {"augmentation": {"random_resized_crop": {**CROP, "crop_from": "native"}}}
BASE = "the recipe of the example"
RECIPES: dict[str, dict[str, Any]] = {
    "linear probe: the classifier alone": {
        "finetune": {"unfreeze_epoch": None, "backbone_lr": 1.0}
    },
    "BatchNorm adapts": {"finetune": {"freeze_bn": False}},
    "crops from the native image": FROM_FILE,
}
"""What each changes in the training of the example."""
CROPS: dict[str, dict[str, Any]] = {
    "resized": {"augmentation": {"random_resized_crop": CROP}},
    "native": FROM_FILE,
}


def run_recipes(options: Namespace) -> str:
    """Train each recipe on the photographs; return the table."""
    settings = read_yaml(write_settings(options.work)[PRETRAINED])
    at_one_side = {**ONLY_TRAIN, "sweep": {"resolutions": [SIDE]}}
    folders = {BASE: options.work / PRETRAINED}
    for number, (name, training) in enumerate(RECIPES.items()):
        folders[name] = options.work / f"recipe-{number}"
        values = merge(merge(settings, at_one_side), {"training": training})
        train(folders[name], values, options.cores)
    return (
        f"EfficientNet-Lite0 from pretrained weights at {SIDE} px, images, epochs and rates of "
        f"docs/photographs.md.\n\n{compare(folders, SIDE)}"
    )


def run_longer(options: Namespace) -> str:
    """Train from random weights for more epochs; return the table."""
    settings = read_yaml(write_settings(options.work)[RANDOM])
    changes = {"sweep": {"resolutions": [SMALL_SIDE]}, "training": {"epochs": MANY_EPOCHS}}
    folder = options.work / "random-longer"
    train(folder, merge(settings, changes), options.cores)
    epochs = settings["training"]["epochs"]
    folders = {
        f"random start, {epochs} epochs": options.work / RANDOM,
        f"random start, {MANY_EPOCHS} epochs": folder,
        f"pretrained, {epochs} epochs": options.work / PRETRAINED,
    }
    return f"EfficientNet-Lite0 at {SMALL_SIDE} px.\n\n{compare(folders, SMALL_SIDE)}"


def run_crops(options: Namespace) -> str:
    """Train on the reef with both kinds of crops; return the table."""
    folders = {}
    for name, training in CROPS.items():
        folders[f"crops from the {name} image"] = folder = options.work / f"reef-{name}"
        sweep = {"models": ["tiny_cnn"], "resolutions": [REEF_SIDE], "seeds": [0, 1]}
        train(folder, {**ONLY_TRAIN, "sweep": sweep, "training": training}, options.cores)
    return f"tiny_cnn at {REEF_SIDE} px, the default reef.\n\n{compare(folders, REEF_SIDE)}"


def train(folder: Path, values: dict[str, Any], cores: int) -> None:
    """Train and evaluate the sweep of a configuration in `folder`."""
    settings = folder.with_suffix(".yaml")
    write_text(settings, yaml.safe_dump(values, sort_keys=False))
    command = module_command("snakemake", "--directory", folder, "--cores", cores)
    run_processes([*command, "--until", "evaluate_run", "--configfile", str(settings)])


def compare(folders: dict[str, Path], side: int) -> str:
    """Return a table of the test accuracies of sweeps, and what they gain on the first."""
    return markdown(
        ("", "test images", "each seed", "test accuracy", "gain, points"),
        _rows(folders, side),
    )


def _rows(folders: dict[str, Path], side: int) -> Iterator[tuple[str, ...]]:
    runs = {name: read_runs(path, read_run_config(path)) for name, path in folders.items()}
    first, *_ = runs.values()
    for name, one in runs.items():
        (cell,) = (cell for cell in one.test if cell.resolution == side)
        seeds = one.test[cell].correct_as_trained.mean(axis=1)
        accuracy = accuracy_intervals({cell: one.test[cell]}, CONFIDENCE)[cell, RAW, side]
        gain = ""
        if one is not first:
            cells = compare_sweeps(first, one, CONFIDENCE)["cells"]
            (of_cell,) = (cell for cell in cells if cell["resolution"] == side)
            gain = format_interval(of_cell["difference"], 100, 1)
        yield (
            name,
            str(len(one.images)),
            " ".join(f"{value:.3f}" for value in seeds),
            format_interval(vars(accuracy), 1, 3),
            gain,
        )


PARTS = {
    "recipes": ("On the photographs", run_recipes),
    "longer": ("Random weights for longer", run_longer),
    "crops": ("Crops on the reef", run_crops),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cores", type=int, default=1)
    options = parser.parse_args(arguments)
    for name in PARTS if options.part == "all" else [options.part]:
        title, run = PARTS[name]
        head = protocol("cpu", 1, os.getloadavg()[0], ["timm"]).partition(" Rounds")[0]
        put_section(PAGE, TITLE, title, f"{head}\n\n{run(options)}")


if __name__ == "__main__":
    main()
