"""A simulated full sweep with its explanations, and the steps that make a page of it.

16 models x 7 resolutions x 3 seeds, 4 explanation methods, 96 explained images. Predictions and
maps are drawn, not computed by networks: what a page costs depends on their number and size only.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from benchmarks.large_tables import TRIED_MODES, scale_latencies, write_predictions
from resomap.analysis.recorded_sweep import RecordedSweep
from resomap.config.load import merge, read_yaml, shipped_values
from resomap.system import files
from resomap.workflow.checked_tables import read_table
from resomap.workflow.jobs import PartialReport
from resomap.workflow.lifecycle import read_run_config, write_run_config
from tests.synthetic import Sweep, write_results
from workflow_scripts import plot, report
from workflow_scripts.aggregate import write_sweep_tables

PRESET = ROOT / "config" / "presets" / "full.yaml"
RESOLUTIONS = (32, 48, 64, 96, 128, 192, 224)
METHODS = ("gradcam", "integrated_gradients", "saliency", "smoothgrad")
# Maps of SmoothGrad have the size and, as the page sees them, the look of those of saliency.
COPIED_METHOD, NEW_METHOD = METHODS[2:]
STEPS = ("tables", "figures", "report")


@dataclass(frozen=True)
class PageSweep:
    """The size of a simulated sweep: images of each held-out split, and its grid."""

    val: int = 2000
    test: int = 4000
    explained: int = 96
    models: tuple[str, ...] = tuple(read_yaml(PRESET)["sweep"]["models"])
    resolutions: tuple[int, ...] = RESOLUTIONS
    seeds: tuple[int, ...] = (0, 1, 2)
    title: str = "A simulated full sweep"

    def describe(self) -> str:
        """Return the size of the sweep as a sentence."""
        return (
            f"{len(self.models)} models x {len(self.resolutions)} resolutions x "
            f"{len(self.seeds)} seeds, {self.test:,} test and {self.val:,} validation images, "
            f"modes {' and '.join(TRIED_MODES)}, {self.explained} explained images by "
            f"{len(METHODS)} methods."
        )


def prepare(work: Path, sweep: PageSweep) -> Path:
    """Return the directory of the sweep, written unless it is there."""
    folder = work / f"page_{len(sweep.models)}_{sweep.val}_{sweep.test}_{sweep.explained}"
    done = folder / "complete"
    if not done.exists():
        write_sweep(folder, sweep)
        done.touch()
    return folder


def write_sweep(folder: Path, sweep: PageSweep) -> None:
    """Write results/ and the configuration of a sweep without its tables."""
    results, first = folder / "results", sweep.models[0]
    of_one_model = Sweep(
        models=(first,),
        resolutions=sweep.resolutions,
        seeds=sweep.seeds,
        val=sweep.val,
        test=sweep.test,
        explained=sweep.explained,
        native=max(sweep.resolutions),
        modes=TRIED_MODES,
        variants=("eager", "compiled", "onnxruntime", "training_step"),
        energy=True,
    )
    write_results(results, of_one_model)
    for explanations in results.glob("runs/custom/*/*/*/explanations"):
        _add_method(explanations, ("localisation", "faithfulness", "sanity"))
    _add_method(results / "agreement" / "custom", (first,))
    for number, model in enumerate(sweep.models):
        if number:
            _copy_model(results, first, model)
        scale_latencies(results / "profiles" / "custom" / f"{model}.json", 1 + number / 4)
        for px, seed in product(sweep.resolutions, sweep.seeds):
            run = results / "runs" / "custom" / model / f"r{px}" / f"seed{seed}"
            counts = {"val": sweep.val, "test": sweep.test}
            write_predictions(run, (number, px, seed), counts, sweep.resolutions)
    write_run_config(_config_values(sweep), results / "run_config.yaml")


def _config_values(sweep: PageSweep) -> dict[str, Any]:
    """Return the configuration of the sweep, whose networks are all of one kind."""
    grid = {"models": sweep.models, "resolutions": sweep.resolutions, "seeds": sweep.seeds}
    changes = {
        "experiment": {"name": sweep.title},
        "sweep": {name: list(values) for name, values in grid.items()},
        "explainability": {"methods": list(METHODS), "images": sweep.explained},
        "evaluation": {"modes": list(TRIED_MODES)},
    }
    values = merge(shipped_values(), changes)
    network = {"family": "custom", "builder": "tiny_cnn", "channels": [8, 16]}
    values["models"] = dict.fromkeys(sweep.models, network)
    return values


def _add_method(folder: Path, tables: Sequence[str]) -> None:
    """Repeat the maps of a method, and its rows in these tables, under the name of another."""
    maps = folder / f"{COPIED_METHOD}.npz"
    if maps.exists():
        os.link(maps, folder / f"{NEW_METHOD}.npz")
    for path in (folder / f"{name}.csv" for name in tables):
        rows = read_table(path).astype(object)
        rows = rows.where(rows.notna(), None)
        copied = rows[rows["method"] == COPIED_METHOD].assign(method=NEW_METHOD)
        both = [*rows.to_dict("records"), *copied.to_dict("records")]
        files.write_rows(path, both, tuple(rows.columns))


def _copy_model(results: Path, first: str, model: str) -> None:
    """Repeat all files of a model for another one; the maps, gigabytes, as links."""
    runs = results / "runs" / "custom"
    shutil.copytree(runs / first, runs / model, copy_function=_link_maps)
    shutil.copy(
        results / "profiles" / "custom" / f"{first}.json",
        results / "profiles" / "custom" / f"{model}.json",
    )
    agreement = results / "agreement" / "custom"
    rows = list(_rows_of_model(agreement / f"{first}.csv", model))
    files.write_rows(agreement / f"{model}.csv", rows, tuple(rows[0]))


def _link_maps(source: str, target: str) -> None:
    # Predictions are written anew for each model, and must not share their file.
    if source.endswith(".npz") and "explanations" in source:
        os.link(source, target)
    else:
        shutil.copy(source, target)


def _rows_of_model(path: Path, model: str) -> Iterator[dict[str, Any]]:
    rows = read_table(path).assign(model=model).astype(object)
    yield from rows.where(rows.notna(), None).to_dict("records")


def run_step(directory: str, step: str) -> None:
    """Run a step of the workflow on the sweep in `directory`: one of `STEPS`."""
    results = Path(directory) / "results"
    sweep, job = _report_job(Path(directory))
    data, runs = results / "data" / "manifest.json", results / "runs"
    tables, figures, page = results / "tables", results / "figures", page_path(Path(directory))
    if step == "tables":
        folders = (runs, results / "profiles", results / "agreement")
        write_sweep_tables(job, sweep, data, *folders, tables)
    elif step == "figures":
        plot.main(job, tables, data.parent, runs, figures)
    else:
        report.main(job, data, tables, figures, page, page.with_name("headline.txt"))


def page_path(directory: Path) -> Path:
    """Return the path of the page of the sweep in `directory`."""
    return directory / "results" / "report" / "index.html"


def _report_job(directory: Path) -> tuple[RecordedSweep, PartialReport]:
    config = read_run_config(directory)
    sweep = RecordedSweep(directory / "results", config)
    shared = {name: getattr(sweep.sweep, name) for name in type(sweep.sweep).model_fields}
    job = PartialReport(
        **shared,
        explain=True,
        report=config.report,
        confidence=config.report.confidence,
        experiment=config.experiment,
        data=config.data,
        training=config.training,
        evaluation=config.evaluation,
        explainability=config.explainability,
        profiling=config.system.profiling,
        tables="",
        figures="",
    )
    return sweep, job
