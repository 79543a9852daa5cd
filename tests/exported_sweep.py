"""A small sweep whose networks are exported, priced and compared, as `snakemake deploy` does."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from resomap.analysis.decision.inputs import read_sweep
from resomap.analysis.per_image.cascade_tables import cascade_rows
from resomap.config.load import build_config, merge, shipped_values
from resomap.config.schema import Config
from resomap.entry import export
from resomap.system import files
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from resomap.workflow.layout import table_columns
from resomap.workflow.lifecycle import read_run_config
from tests.small_sweep import MODEL, SEEDS, SIDE, write_sweep
from workflow_scripts import compare_exports

PRECISIONS = ("fp32", "int8")
SMALL_SIDE = 8
LATENCIES = {SMALL_SIDE: 1.0, SIDE: 4.0}


def write_exported_sweep(
    directory: Path, each: int = 60, sides: Sequence[int] = (SIDE,)
) -> Config:
    """Write a sweep, the exports of its runs at their own size, and deploy.csv."""
    config = write_sweep(directory, each, sides=sides)
    results = directory / "results"
    deploying = config.model_copy(update={"system": _deploying(config)})
    records = []
    for side, seed in product(sides, SEEDS):
        wildcards = {"family": "custom", "model": MODEL, "resolution": str(side)}
        job = build_job(
            deploying, jobs.Export, **wildcards, seed=str(seed), eval_resolution=str(side)
        )
        run = Path("custom", MODEL, f"r{side}", f"seed{seed}")
        folder = results / "deploy" / run / f"at{side}"
        export.main(
            job,
            data=results / "data" / "manifest.json",
            weights=results / "checkpoints" / run / "best.safetensors",
            networks=tuple(folder / f"{each}.onnx" for each in PRECISIONS),
            record=folder / "export.json",
            logits=folder / "logits.npz",
            threads=1,
        )
        records.append(folder / "export.json")
    compare_exports.main(
        build_job(deploying, jobs.CompareExports),
        records=tuple(records),
        table=results / "tables" / "deploy.csv",
    )
    return config


def _deploying(config: Config):
    deploy = {
        "runtimes": ["onnxruntime"],
        "precisions": list(PRECISIONS),
        "cells": "all",
        "max_flips": None,
        "measurements": [],
    }
    built = build_config(merge(shipped_values(), {"system": {"deploy": deploy}}))
    return config.system.model_copy(update={"deploy": built.system.deploy})


def write_profile(results: Path, sides: Sequence[int]) -> None:
    """Write a profile in which each side has the latency of LATENCIES."""
    cells = []
    for side in sides:
        way = {"variant": "eager", "precision": "fp32", "memory_format": "channels_last"}
        latency = {f"latency_ms_{name}": LATENCIES[side] for name in ("p50", "p90")}
        cells.append(
            {
                "resolution": side,
                "batch_size": 1,
                "valid": True,
                "status": "ok",
                **way,
                **latency,
            }
        )
    files.write_json(results / "profiles" / "custom" / f"{MODEL}.json", {"cells": cells})


def write_cascades(results: Path) -> None:
    """Write cascades.csv as the tables of the sweep have it, by the latencies of LATENCIES."""
    config = read_run_config(results.parent)
    _, cells, seeds, runs = read_sweep(results, config)
    costs = {cell: LATENCIES[cell.resolution] for cell in cells}
    rows = cascade_rows(costs, seeds, runs, config.report.margin, config.report.confidence)
    files.write_rows(results / "tables" / "cascades.csv", list(rows), table_columns("cascades"))
