"""What it costs to start: to the first step of a training, and every entry point on a job of next to nothing."""

import shutil
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.pictures import draw_jpegs
from benchmarks.processes import Cost, job_command, job_module, measure, module, shipped_config
from benchmarks.tables import markdown, spread
from benchmarks.whole_jobs import our_command, reported, store_of, textbook_command
from resomap.config.data import Provision
from resomap.workflow import jobs
from resomap.workflow.job_params import ENTRY_POINTS, build_job

PROVISION = Provision(download=False, resolutions=()).model_dump_json()
TORCHLESS = (jobs.PrepareData, jobs.ResizeData, jobs.Aggregate, jobs.Plot, jobs.BuildReport)
IMPORTS = {
    "import torch": "import torch",
    "import torch, torchvision": "import torch, torchvision",
    "imports of the textbook's train script": "import benchmarks.textbook.train",
    "imports of the textbook's explain script": "import benchmarks.textbook.explain",
}
TINY: dict[str, Any] = {
    "sweep": {"models": ["tiny_cnn"], "resolutions": [24], "seeds": [0]},
    "data": {
        "native_resolution": 24,
        "reef": {"train": 16, "val": 8, "test": 8, "frequencies": [3.0, 5.0, 9.0]},
    },
    "training": {"epochs": 1},
    "explainability": {"images": 2, "ig_steps": 2},
    "system": {
        "profiling": {
            "batch_size": 2,
            "warmup_seconds": 0.001,
            "rounds": 5,
            "round_seconds": 0.001,
        }
    },
}
NOTE = """`first step`: from the start of the process to the end of its first optimizer step (tiny_cnn, 24 px, {batch} pictures a batch, flip
and crop), workers included. Other jobs: the whole process on 8 to 16 pictures of 24 px, one model, one resolution, which is start-up and next to
nothing else. Bytecode of packages: {bytecode}. The textbook imports resomap.models for the same network, which a user's own script would not.
"""
Rows = dict[str, list[Cost]]


def run_startup(options: Namespace, work: Path) -> str:
    """Every start, as text for the page."""
    costs = measure_starts(options, work)
    body = (
        (name, spread([cost.wall for cost in found]), spread([cost.cpu for cost in found]))
        for name, found in costs.items()
    )
    note = NOTE.format(
        batch=options.batch_size,
        bytecode="compiled" if bytecode() else "NOT compiled, so that everything starts slower",
    )
    return f"{note}\n{markdown(('process', 'wall s', 'CPU s'), body)}"


def measure_starts(options: Namespace, work: Path) -> Rows:
    """Costs by name, the first round (which compiles bytecode and fills caches) left out."""
    if not bytecode():
        print(
            "warning: the packages have no compiled bytecode; reinstall with `uv pip install --compile-bytecode`",
            file=sys.stderr,
        )
    config = shipped_config()
    draw_jpegs(config.data, work / "jpeg", 2 * options.batch_size)
    pictures = store_of(config, work, 24, 2 * options.batch_size)
    first = {
        "resomap: train, first step": our_command(
            options, "tiny_cnn", 24, pictures.manifest, work / "ours"
        ),
        "textbook: train, first step": textbook_command(
            options, "tiny_cnn", 24, pictures.folder, work / "theirs"
        ),
    }
    costs: Rows = defaultdict(list)
    for number in range(options.rounds + 1):
        shutil.rmtree(work / "ours", ignore_errors=True)  # nothing to go on from
        found = {name: first_step(command) for name, command in first.items()}
        found |= {
            name: measure([sys.executable, "-c", program]) for name, program in IMPORTS.items()
        }
        found |= {
            start_name(kind): cost
            for kind, cost in tiny_jobs(options.device, work / "tiny").items()
        }
        for name, cost in found.items() if number else ():
            costs[name].append(cost)
    return costs


def bytecode() -> bool:
    """Whether torch, and so its neighbours, are compiled."""
    import torch

    return any((Path(torch.__file__).parent / "__pycache__").glob("*.pyc"))


def first_step(command: list[str]) -> Cost:
    """The cost of a training command until its first step."""
    told = reported(measure(module("benchmarks.first_step", *command[2:])))
    return Cost(told["wall"], told["cpu"], "")


def start_name(kind: type[jobs.Job]) -> str:
    """How the table calls the whole process of a kind of job."""
    return f"{job_module(kind)}{'' if kind in TORCHLESS else ' (torch)'}"


def tiny_jobs(device: str, folder: Path) -> dict[type[jobs.Job], Cost]:
    """Every rule's command once, in the order of the workflow, on next to nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    config = shipped_config(TINY, {"system": {"device": device}})
    run = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}
    return {
        kind: measure(job_command(build_job(config, kind, **run), **arguments))
        for kind, arguments in tiny_arguments(
            folder, config.explainability.methods, config.system.training.model_dump_json()
        )
        if kind in ENTRY_POINTS
    }


def tiny_arguments(
    results: Path, methods: Iterable[str], runtime: str
) -> list[tuple[type[jobs.Job], dict[str, Any]]]:
    """The files of each rule, laid out as in results/."""
    cell = Path("custom", "tiny_cnn", "r24", "seed0")
    run, weights, data = (
        results / "runs" / cell,
        results / "checkpoints" / cell / "best.safetensors",
        results / "data" / "manifest.json",
    )
    tables, figures, maps = results / "tables", results / "figures", run / "explanations"
    trained = {
        "metrics": run / "metrics.json",
        "history": run / "history.csv",
        "timing": run / "timing.json",
        "state": results / ".state",
    }
    scored = {
        "evaluation": run / "evaluation.csv",
        **{name: run / f"{name}.npz" for name in ("predictions", "val_predictions")},
    }
    judged = {
        name: maps / f"{name}.csv"
        for name in ("localisation", "faithfulness", "sanity", "interventions")
    }
    explained = {**judged, "attributions": [maps / f"{method}.npz" for method in methods]}
    agreement = results / "agreement"
    report = {
        "report": results / "report" / "index.html",
        "headline": results / "report" / "headline.txt",
    }
    return [
        (jobs.PrepareData, {"manifest": data, "provision": PROVISION, "threads": 1}),
        (jobs.ResizeData, {"data": data, "threads": 1}),
        (
            jobs.Train,
            {"data": data, "weights": weights, **trained, "runtime": runtime, "threads": 1},
        ),
        (jobs.Evaluate, {"data": data, "weights": weights, **scored, "threads": 1}),
        (jobs.Explain, {"data": data, "weights": weights, **explained, "threads": 1}),
        (
            jobs.Profile,
            {"data": data, "profile": results / "profiles" / "custom" / "tiny_cnn.json"},
        ),
        (
            jobs.Aggregate,
            {
                "data": data,
                "runs": results / "runs",
                "profiles": results / "profiles",
                "agreement": agreement,
                "tables": tables,
            },
        ),
        (
            jobs.Plot,
            {
                "tables": tables,
                "data": data.parent,
                "runs": results / "runs",
                "figures": figures,
            },
        ),
        (jobs.BuildReport, {"data": data, "tables": tables, "figures": figures, **report}),
    ]
