"""Jobs of a sweep in this process, one after the other, without Snakemake and without a start-up each: files lie as they do in results/."""

import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import job_module
from resomap.config.data import Provision
from resomap.config.load import find_architecture
from resomap.config.schema import Config
from resomap.workflow import jobs
from resomap.workflow.data_digest import provision_json
from resomap.workflow.job_params import build_job


@dataclass(frozen=True)
class Sweep:
    """The sweep of `config`, its files in `results`."""

    results: Path
    config: Config

    def prepare(self) -> None:
        """Draw the pictures and bring them to every resolution, unless they are there."""
        if not (self.results / "data" / "manifest.json").exists():
            self.do(jobs.PrepareData)
        for resolution in self.config.sweep.resolutions:
            if not (self.results / "data" / f"r{resolution}" / "test.npy").exists():
                self.do(jobs.ResizeData, resolution=str(resolution))

    def do(self, kind: type[jobs.Job], **wildcards: str) -> None:
        """Do one job: the main of its rule on the files of its rule; wildcards are model, resolution and seed as text, as it needs them."""
        main = importlib.import_module(job_module(kind)).main
        if "model" in wildcards:
            wildcards["family"] = find_architecture(
                self.config.models, wildcards["model"]
            ).family
        there = self.shared() | self.of_model(**wildcards) | self.of_run(**wildcards)
        asked = [name for name in inspect.signature(main).parameters if name != "job"]
        main(build_job(self.config, kind, **wildcards), **{name: there[name] for name in asked})

    def shared(self) -> dict[str, Any]:
        """What every job may ask for."""
        manifest = self.results / "data" / "manifest.json"
        asked = {
            "provision": Provision.model_validate_json(provision_json(self.config)),
            "runtime": self.config.system.training,
        }
        folders = {
            name: self.results / name for name in ("runs", "profiles", "agreement", "tables")
        }
        return {"data": manifest, "manifest": manifest, "threads": 1, **folders, **asked}

    def of_model(self, family: str = "", model: str = "", **_: str) -> dict[str, Any]:
        """What the jobs of one network may ask for."""
        return (
            {"agreement": self.results / "agreement" / family / f"{model}.csv"} if model else {}
        )

    def of_run(
        self, family: str = "", model: str = "", resolution: str = "", seed: str = "", **_: str
    ) -> dict[str, Any]:
        """What the jobs of one run may ask for."""
        cell = Path(family, model, f"r{resolution}", f"seed{seed}")
        run, maps = self.results / "runs" / cell, self.results / "runs" / cell / "explanations"
        endings = {
            "csv": ("evaluation", "history"),
            "json": ("metrics", "timing"),
            "npz": ("predictions", "val_predictions"),
        }
        return {
            "weights": self.results / "checkpoints" / cell / "best.safetensors",
            "state": self.results / ".state" / cell,
            **{
                name: run / f"{name}.{ending}"
                for ending, names in endings.items()
                for name in names
            },
            **{
                name: maps / f"{name}.csv"
                for name in ("localisation", "faithfulness", "sanity", "interventions")
            },
            "attributions": tuple(
                maps / f"{method}.npz" for method in self.config.explainability.methods
            ),
        }
