"""Small sweeps of the reef with real trainings, run job by job in this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from resomap.analysis.decision.inputs import read_sweep
from resomap.analysis.predictions import Cell, Run, finished_runs
from resomap.analysis.profiles import read_records
from resomap.config.data import Reef
from resomap.config.evaluation import EvaluationMode
from resomap.config.load import build_config, merge, shipped_values
from resomap.config.schema import Config
from resomap.data.reef.render import render_chunks
from resomap.entry import evaluate, prepare_data, profile, resize_data, train
from resomap.training.checkpoint import load_weights, save_weights
from resomap.workflow import jobs
from resomap.workflow.checked_files import read_arrays
from resomap.workflow.job_params import build_job
from resomap.workflow.layout import artifact, state_folder
from resomap.workflow.lifecycle import write_run_config
from resomap.workflow.predictions import RAW, logits_name
from resomap.workflow.targets import swept_models

QUICK_PROFILE = {
    "variants": ["eager"],
    "end_to_end": False,
    "warmup_seconds": 0.05,
    "rounds": 7,
    "round_seconds": 0.05,
    "max_seconds": 0.5,
}


def reef_values(
    resolutions: Sequence[int],
    seeds: int,
    reef: Mapping[str, Any],
    model: str = "tiny_cnn",
    **changes: Any,
) -> dict[str, Any]:
    """Return the values of a configuration without explanations, on one core."""
    own = {
        "sweep": {"models": [model], "resolutions": [*resolutions], "seeds": [*range(seeds)]},
        "data": {"reef": dict(reef)},
        "explainability": {"enabled": False},
        "system": {"device": "cpu", "profiling": QUICK_PROFILE},
    }
    return merge(merge(shipped_values(), own), changes)


@dataclass(frozen=True)
class SmallSweep:
    """A sweep of one model in the directory `path`, from the `values` of its configuration."""

    path: Path
    values: dict[str, Any]

    @cached_property
    def config(self) -> Config:
        """The configuration that `values` make."""
        return build_config(self.values)

    @property
    def results(self) -> Path:
        """The folder of the results."""
        return self.path / "results"

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells, smallest first."""
        return read_sweep(self.results, self.config)[1]

    @cached_property
    def runs(self) -> list[Run]:
        """The finished runs, cell by cell."""
        _, cells, seeds, folders = read_sweep(self.results, self.config)
        return finished_runs(cells, seeds, folders)

    def run(self) -> "SmallSweep":
        """Prepare, resize, train, evaluate and profile, as the rules do; nothing twice."""
        self.prepare()
        for cell in self.cells:
            for seed in self.config.sweep.seeds:
                keys = {
                    name: str(each) for name, each in (*cell._asdict().items(), ("seed", seed))
                }
                self.train(keys)
                if not self.file("run_evaluation", **keys).exists():
                    self.evaluate(keys)
        self._profile(self.file("manifest"))
        return self

    def prepare(self) -> None:
        """Write the images at the sizes of the sweep."""
        write_run_config(self.values, self.file("run_config"))
        manifest, config = self.file("manifest"), self.config
        sizes = tuple(sorted(config.sweep.resolutions))
        if not manifest.exists():
            manifest.parent.mkdir(parents=True, exist_ok=True)
            options = prepare_data.PrepareOptions(download=False, resolutions=sizes)
            prepare_data.main(build_job(config, jobs.PrepareData), manifest, options, threads=1)
        for px in sizes:
            job = build_job(config, jobs.ResizeData, resolution=str(px))
            if not self.file("resized", resolution=px, split="test").exists():
                resize_data.main(job, manifest, threads=1)

    def train(self, keys: Mapping[str, str]) -> dict[str, Path]:
        """Train a run, unless it is trained; return its files."""
        names = ("weights", "metrics", "history", "timing")
        outputs = {name: self.file(name, **keys) for name in names}
        if not outputs["metrics"].exists():
            train.main(
                build_job(self.config, jobs.Train, **keys),
                self.file("manifest"),
                **outputs,
                state=state_folder(outputs["metrics"].parent),
                runtime=self.config.system.training,
                threads=1,
            )
        return outputs

    def file(self, name: str, **wildcards: Any) -> Path:
        """Return the path of an artifact."""
        return self.path / artifact(name).path.format(**wildcards)

    def evaluate(
        self, keys: Mapping[str, str], weights: Path | None = None, folder: Path | None = None
    ) -> None:
        """Evaluate a run; with other weights, or into another folder, where they are given."""
        folder = folder or self.file("predictions", **keys).parent
        evaluate.main(
            build_job(self.config, jobs.Evaluate, **keys),
            self.file("manifest"),
            weights or self.file("weights", **keys),
            folder / "evaluation.csv",
            folder / "predictions.npz",
            folder / "val_predictions.npz",
            threads=1,
        )

    def _profile(self, manifest: Path) -> None:
        keys = self._profile_keys
        job, path = build_job(self.config, jobs.Profile, **keys), self.file("profile", **keys)
        if not path.exists():
            profile.main(job, manifest, path)

    @property
    def _profile_keys(self) -> dict[str, str]:
        (model,) = swept_models(self.config)
        return {"family": model.family, "model": model.name}

    def costs(self, column: str) -> dict[Cell, float]:
        """Return a column of profiles.csv at batch size 1 by cell."""
        family, model = self._profile_keys.values()
        path = self.file("profile", **self._profile_keys)
        records = list(read_records({(family, model): path}, "cells"))
        return {
            Cell(family, model, record["resolution"]): record[column]
            for record in records
            if record["batch_size"] == 1
        }


def accuracy(folder: Path, px: int, mode: EvaluationMode = RAW) -> float:
    """Return the test accuracy of the run in `folder` at `px` in a mode."""
    name = logits_name(px, mode)
    stored = read_arrays(folder / "predictions.npz", name, "label")
    return float((stored[name].argmax(axis=1) == stored["label"]).mean())


def wildcards(run: Run) -> dict[str, str]:
    """Return the wildcards of the files of a run."""
    keys = {name: str(value) for name, value in run.cell._asdict().items()}
    return {**keys, "seed": str(run.seed)}


def spoil_statistics(weights: Path, spoilt: Path, seed: int) -> None:
    """Copy a file of weights with its BatchNorm statistics multiplied by 1/8 to 8."""
    state, metadata = load_weights(weights)
    generator = torch.Generator().manual_seed(seed)
    for name, values in state.items():
        if name.endswith(("running_mean", "running_var")):
            values.mul_(8 ** (2 * torch.rand(values.shape, generator=generator) - 1))
    save_weights(spoilt, state, metadata)


def write_striped_fish(folder: Path, reef: Mapping[str, Any], canvas: int) -> None:
    """Write PNG files of the fish that differ in their stripes only, in folders of splits."""
    settings = Reef.model_validate({"seed": 0, "shortcut": None, **reef}, strict=False)
    for split in ("train", "val", "test"):
        count = getattr(settings, split)
        for number, part in enumerate(render_chunks(settings, split, count, canvas)):
            for image, label, group in zip(part.images, part.labels, part.groups, strict=True):
                if group == "outline":
                    continue
                place = folder / split / f"class{label}"
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.ascontiguousarray(image)).save(place / f"{number}.png")
