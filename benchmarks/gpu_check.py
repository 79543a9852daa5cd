"""Train, evaluate, profile and explain on one device through the entry points, and write what it took as a table."""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, job_command, shipped_config
from resomap.config.load import find_architecture
from resomap.config.schema import Config
from resomap.system.files import read_json, write_text
from resomap.workflow import jobs
from resomap.workflow.data_digest import provision_json
from resomap.workflow.job_params import build_job

TRAINING = {
    "data": {"native_resolution": 256, "reef": {"train": 2048, "val": 256, "test": 256}},
    "training": {"epochs": 3, "batch_size": 128},
}
HEAD = "| model | px | device | training images/s | job peak MiB | latency p50 ms, batch 1 | inference images/s, batch {batch} |\n|---|---|---|---|---|---|---|\n"


def main() -> None:
    """Parse the command line and write `benchmarks/gpu_check.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=["tiny_cnn"])
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu_check.md")
    options = parser.parse_args()
    config = configure(options.device, options.models, options.resolutions)
    with tempfile.TemporaryDirectory() as folder:
        rows = list(measure(config, Path(folder)))
    write_text(
        options.out, HEAD.format(batch=config.system.profiling.batch_size) + "".join(rows)
    )
    print(options.out.read_text(encoding="utf-8"))


def configure(device: str, models: list[str], resolutions: list[int]) -> Config:
    """The shipped configuration with this sweep and device."""
    sweep = {
        "sweep": {"models": models, "resolutions": resolutions, "seeds": [0]},
        "system": {"device": device},
    }
    return shipped_config(TRAINING, sweep)


def measure(config: Config, folder: Path) -> Iterator[str]:
    """One table row a cell, everything computed in `folder`."""
    data = folder / "data" / "manifest.json"
    call(
        build_job(config, jobs.PrepareData),
        manifest=data,
        provision=provision_json(config),
        threads=os.cpu_count(),
    )
    for resolution in config.sweep.resolutions:
        call(
            build_job(config, jobs.ResizeData, resolution=str(resolution)), data=data, threads=1
        )
    for name in config.sweep.models:
        family = find_architecture(config.models, name).family
        profile = folder / f"{name}.json"
        call(
            build_job(config, jobs.Profile, family=family, model=name),
            data=data,
            profile=profile,
        )
        for resolution in config.sweep.resolutions:
            cell = {"family": family, "model": name, "resolution": str(resolution), "seed": "0"}
            yield row(
                name,
                resolution,
                train_cell(config, cell, data, folder / name / str(resolution)),
                read_json(profile)["cells"],
            )


def train_cell(config: Config, cell: dict[str, str], data: Path, out: Path) -> dict[str, Any]:
    """Train, evaluate and explain one cell; returns its timing and the device it ran on."""
    weights = out / "best.safetensors"
    files = {name: out / name for name in ("metrics", "history", "timing")}
    runtime = config.system.training.model_dump_json()
    call(
        build_job(config, jobs.Train, **cell),
        data=data,
        weights=weights,
        state=out / "state",
        runtime=runtime,
        threads=1,
        **files,
    )
    scores = {name: out / f"{name}.npz" for name in ("predictions", "val_predictions")}
    call(
        build_job(config, jobs.Evaluate, **cell),
        data=data,
        weights=weights,
        evaluation=out / "evaluation.csv",
        threads=1,
        **scores,
    )
    maps = [out / f"{method}.npz" for method in config.explainability.methods]
    judged = {
        name: out / f"{name}.csv"
        for name in ("localisation", "faithfulness", "sanity", "interventions")
    }
    call(
        build_job(config, jobs.Explain, **cell),
        data=data,
        weights=weights,
        **judged,
        attributions=maps,
        threads=1,
    )
    return {
        **read_json(files["timing"]),
        "device": read_json(files["metrics"])["environment"]["device"],
    }


def row(
    model: str, resolution: int, timing: dict[str, Any], cells: list[dict[str, Any]]
) -> str:
    """One line of the table."""
    single, batch = (
        cell
        for cell in cells
        if cell["resolution"] == resolution and cell["variant"] == "eager"
    )
    cost = f"{timing['train_images_per_second']:,.0f} | {timing['peak_memory_mib']:,.0f}"
    return f"| {model} | {resolution} | {timing['device']} | {cost} | {single['latency_ms_p50']:.3f} | {batch['inference_images_per_second']:,.0f} |\n"


def call(job: jobs.Job, **arguments: Any) -> None:
    """Run the entry point of `job` as a rule would."""
    subprocess.run(job_command(job, **arguments), check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
