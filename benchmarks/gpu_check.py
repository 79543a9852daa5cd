"""Train, evaluate, profile and explain on one device through the entry points; write costs.

usage: python -m benchmarks.gpu_check [--device cuda] [--models ...] [--resolutions ...]

Writes benchmarks/gpu_check.md.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, job_command, markdown, shipped_config
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.system.files import read_json, write_text
from resomap.workflow import jobs
from resomap.workflow.data_digest import prepare_options_json
from resomap.workflow.job_params import build_job

CHANGES = {
    "data": {"native_resolution": 256, "reef": {"train": 2048, "val": 256, "test": 256}},
    "training": {"epochs": 3, "batch_size": 128},
}
HEAD = (
    *("model", "px", "device", "training images/s", "job peak MiB", "latency p50 ms, batch 1"),
    "inference images/s, batch {batch}",
)


def configure(device: str, models: list[str], resolutions: list[int]) -> Config:
    """Return the shipped configuration with this sweep, its seed 0, and this device."""
    sweep = {"models": models, "resolutions": resolutions, "seeds": [0]}
    return shipped_config(CHANGES, {"sweep": sweep, "system": {"device": device}})


def prepare_data(config: Config, folder: Path) -> Path:
    """Prepare the dataset in `folder`; return the path of its manifest."""
    manifest = folder / "data" / "manifest.json"
    job = build_job(config, jobs.PrepareData)
    run_job(
        job, manifest=manifest, options=prepare_options_json(config), threads=os.cpu_count()
    )
    return manifest


def profile(config: Config, model: str, data: Path, folder: Path) -> list[dict[str, Any]]:
    """Profile a model; return the records of its cells."""
    path = folder / f"{model}.json"
    family = find_architecture(config.models, model).family
    job = build_job(config, jobs.Profile, family=family, model=model)
    run_job(job, data=data, profile=path)
    records: list[dict[str, Any]] = read_json(path)["cells"]
    return records


def measure_cells(config: Config, folder: Path) -> Iterator[tuple[object, ...]]:
    """Yield one row of HEAD per cell; all files are written to `folder`."""
    data = prepare_data(config, folder)
    for resolution in config.sweep.resolutions:
        job = build_job(config, jobs.ResizeData, resolution=str(resolution))
        run_job(job, data=data, threads=1)
    for model in config.sweep.models:
        records = profile(config, model, data, folder)
        for resolution in config.sweep.resolutions:
            timing = run_cell(config, model, resolution, data, folder / model / str(resolution))
            yield cell_row(model, resolution, timing, records)


def run_cell(
    config: Config, model: str, resolution: int, data: Path, out: Path
) -> dict[str, Any]:
    """Train, evaluate and explain one cell; return its timing and the device it ran on."""
    family = find_architecture(config.models, model).family
    wildcards = {"family": family, "model": model, "resolution": str(resolution), "seed": "0"}
    shared = {"data": data, "weights": out / "best.safetensors", "threads": 1}
    run_job(
        build_job(config, jobs.Train, **wildcards),
        **shared,
        **{name: out / name for name in ("metrics", "history", "timing", "state")},
        runtime=config.system.training.model_dump_json(),
    )
    run_job(
        build_job(config, jobs.Evaluate, **wildcards),
        **shared,
        evaluation=out / "evaluation.csv",
        **{name: out / f"{name}.npz" for name in ("predictions", "val_predictions")},
    )
    tables = ("localisation", "faithfulness", "sanity", "interventions")
    run_job(
        build_job(config, jobs.Explain, **wildcards),
        **shared,
        **{name: out / f"{name}.csv" for name in tables},
        attributions=[out / f"{method}.npz" for method in config.explainability.methods],
    )
    environment = read_json(out / "metrics")["environment"]
    return {**read_json(out / "timing"), "device": environment["device"]}


def cell_row(
    model: str, resolution: int, timing: dict[str, Any], records: list[dict[str, Any]]
) -> tuple[object, ...]:
    """Return one row of HEAD."""
    single, batch = (
        record
        for record in records
        if record["resolution"] == resolution and record["variant"] == "eager"
    )
    return (
        *(model, resolution, timing["device"], f"{timing['train_images_per_second']:,.0f}"),
        *(f"{timing['peak_memory_mib']:,.0f}", f"{single['latency_ms_p50']:.3f}"),
        f"{batch['inference_images_per_second']:,.0f}",
    )


def run_job(job: jobs.Job, **arguments: Any) -> None:
    """Run the entry point of `job` as its rule does."""
    subprocess.run(job_command(job, **arguments), check=True, cwd=ROOT)


def main() -> None:
    """Parse the command line and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=["tiny_cnn"])
    parser.add_argument("--resolutions", nargs="+", type=int, default=[64])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "gpu_check.md")
    options = parser.parse_args()
    config = configure(options.device, options.models, options.resolutions)
    head = [name.format(batch=config.system.profiling.batch_size) for name in HEAD]
    with tempfile.TemporaryDirectory() as folder:
        write_text(options.out, markdown(head, measure_cells(config, Path(folder))))
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
