"""The results of a sweep as pandas and numpy objects."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.decision.inputs import read_sweep
from resomap.analysis.facts import read_facts
from resomap.analysis.predictions import Cell, Run, RunFolders, read_run_arrays, sweep_runs
from resomap.analysis.tables import Tables, read_tables, write_tables
from resomap.calibration import log_probabilities
from resomap.config.evaluation import EvaluationMode
from resomap.config.schema import Config
from resomap.errors import DataError, suggest
from resomap.library.finding_frames import claim_rows, number_rows
from resomap.report.finding_lines import FindingLine, finding_lines
from resomap.report.text.choice import describe_choice
from resomap.system.files import write_json
from resomap.workflow.checked_files import map_array, read_arrays
from resomap.workflow.checked_tables import read_table
from resomap.workflow.predictions import RAW, logits_name
from resomap.workflow.targets import swept_models

PREDICTION_COLUMNS = (
    *("family", "model", "resolution", "seed", "index"),
    *("class", "predicted", "correct", "probability"),
)


@dataclass(frozen=True)
class AttributionMaps:
    """The maps of one method for one run.

    `maps` (n, g, g) are signed, float32, where g is the side of the map in cells. `index` (n,)
    are the places of the images in the test split, `target` (n,) the classes that are explained.
    """

    maps: np.ndarray
    index: np.ndarray
    target: np.ndarray


class SweepData:
    """The results of one sweep; `resomap.open_sweep` returns it.

    Of a sweep that is not finished it has what exists. As with `resomap choose`, results of
    another configuration are left out. Every table has the columns and units that the page
    Tables (docs/tables.md) lists for the file of its name.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config

    def __repr__(self) -> str:
        """Return the class and the folder."""
        return f"SweepData({str(self.folder)!r})"

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known of the dataset: classes, groups, pairs, and the counts of its splits.

        DataError where the sweep has not prepared its images yet, here and everywhere below.
        """
        return self._recorded[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(self.manifest["classes"])

    @cached_property
    def images(self) -> pd.DataFrame:
        """One row per image: split, index, label, class, source and size; data/pictures.csv."""
        return read_table(self.folder / "data" / "pictures.csv")

    def pixels(self, resolution: int, split: str = "test") -> np.ndarray:
        """Return the images of a split at one resolution: uint8 (N, resolution, resolution, 3).

        They are mapped from their file, read-only. DataError where the file was deleted.
        """
        path = self.folder / "data" / f"r{resolution}" / f"{split}.npy"
        if not path.exists():
            raise DataError(f"{path}: not found: `snakemake {path}` makes it")
        return map_array(path)

    @property
    def runs(self) -> pd.DataFrame:
        """One row per run, scored on test images at its training resolution; runs.csv."""
        return self.table("runs")

    @property
    def cells(self) -> pd.DataFrame:
        """One row per model and resolution: accuracy and latency with intervals; cells.csv."""
        return self.table("cells")

    @property
    def candidates(self) -> pd.DataFrame:
        """One row per candidate of the choice, with its verdict; candidates.csv."""
        return self.table("candidates")

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of results/tables by the name of its file, such as `cost`.

        It is made from the result files, so it is up to date also while the sweep runs. DataError
        lists the known names.
        """
        frame = getattr(self._tables, name, None)
        if not isinstance(frame, pd.DataFrame):
            names = [
                each for each, kind in Tables.__annotations__.items() if kind is pd.DataFrame
            ]
            raise DataError(f"{name!r} is no table of a sweep: {suggest(name, names)}")
        return frame

    @property
    def choice(self) -> dict[str, Any]:
        """The recommended cell, its rivals and the sentence about it, as in choice.json."""
        return self._tables.choice

    @property
    def findings(self) -> pd.DataFrame:
        """One row per line of the report's findings: topic, alarm, claim, reasons, evidence.

        `alarm` is whether the line is an alarm; `evidence` are the files with its numbers.
        """
        return pd.DataFrame(claim_rows(self._lines))

    @property
    def finding_numbers(self) -> pd.DataFrame:
        """One row per number of a finding, with its interval, in the unit of its table.

        Columns: topic, kind, state, about, number, value, low, high, n, evidence.
        """
        return pd.DataFrame(number_rows(self._lines))

    def predictions(self, split: str = "test") -> pd.DataFrame:
        """Return one row per finished run and image of `split` (val or test), as trained.

        Columns: family, model, resolution, seed, index, class, predicted, correct, and
        probability (0-1), that of the predicted class. `index` is that of `images`.
        """
        runs = [run for run in self._runs.values() if run.status == "ok"]
        frames = [self._prediction_frame(run, split) for run in runs]
        if not frames:
            return pd.DataFrame(columns=PREDICTION_COLUMNS)
        return pd.concat(frames, ignore_index=True)

    def logits(
        self,
        model: str,
        resolution: int,
        seed: int,
        *,
        split: str = "test",
        eval_resolution: int | None = None,
        mode: EvaluationMode = RAW,
    ) -> np.ndarray:
        """Return the logits float32 (N, C) of one run, by default at its training resolution.

        DataError where the run has not finished, or was not evaluated so.
        """
        run = self._finished_run(model, resolution, seed)
        arrays = self._arrays(run, split)
        name = logits_name(eval_resolution or resolution, mode)
        if name not in arrays:
            raise DataError(f"{run.folder}: no {name}: {suggest(name, arrays)}")
        return arrays[name]

    def attributions(
        self, model: str, resolution: int, seed: int, method: str
    ) -> AttributionMaps:
        """Return the maps of one method for one run, of the test images that were explained.

        DataError where the run has not been explained, or not by this method.
        """
        run = self._finished_run(model, resolution, seed)
        folder = run.explanations or run.folder / "explanations"
        path = folder / f"{method}.npz"
        if run.explanations is None or not path.exists():
            methods = [each.stem for each in sorted(folder.glob("*.npz"))]
            raise DataError(f"{path}: not found: {suggest(method, methods)}")
        arrays = read_arrays(path, "attribution", "index", "target")
        return AttributionMaps(arrays["attribution"], arrays["index"], arrays["target"])

    @cached_property
    def _recorded(self) -> tuple[dict[str, Any], list[Cell], list[int], RunFolders]:
        return read_sweep(self.folder, self.config)

    @cached_property
    def _tables(self) -> Tables:
        manifest, _, seeds, runs = self._recorded
        # In a folder of its own: those in results/ may be of an earlier state of the sweep.
        with TemporaryDirectory() as name:
            folder = Path(name)
            choice = write_tables(
                manifest,
                runs.folder,
                self.folder / "profiles",
                self.folder / "agreement",
                folder,
                models=swept_models(self.config),
                resolutions=sorted(self.config.sweep.resolutions),
                seeds=seeds,
                report=self.config.report,
                explain=runs.explained,
                sweep=runs.sweep,
            )
            write_json(folder / "choice.json", describe_choice(choice))
            return read_tables(folder)

    @cached_property
    def _lines(self) -> list[FindingLine]:
        return finding_lines(self._tables, read_facts(self.folder / "data"), ())

    @cached_property
    def _runs(self) -> dict[tuple[str, int, int], Run]:
        _, cells, seeds, folders = self._recorded
        runs = sweep_runs(cells, seeds, folders)
        return {(run.cell.model, run.cell.resolution, run.seed): run for run in runs}

    def _finished_run(self, model: str, resolution: int, seed: int) -> Run:
        name = f"{model} at {resolution} px, seed {seed}"
        run = self._runs.get((model, resolution, seed))
        if run is None:
            sweep = self.config.sweep
            raise DataError(
                f"{name} is no run of this sweep: models {', '.join(sweep.models)}; resolutions "
                f"{', '.join(map(str, sorted(sweep.resolutions)))}; seeds "
                f"{', '.join(map(str, sorted(sweep.seeds)))}"
            )
        if run.status != "ok":
            raise DataError(f"{name} has no predictions: its status is {run.status}")
        return run

    def _arrays(self, run: Run, split: str) -> dict[str, np.ndarray]:
        splits = self.manifest["splits"]
        if split not in ("val", "test"):
            raise DataError(f"split {split!r}: predictions are of val and test")
        return read_run_arrays(run, split, splits[split]["count"])

    def _prediction_frame(self, run: Run, split: str) -> pd.DataFrame:
        arrays = self._arrays(run, split)
        logits, labels = arrays[logits_name(run.cell.resolution)], arrays["label"]
        predicted, names = logits.argmax(axis=1), np.array(self.classes)
        return pd.DataFrame(
            {
                **run.cell._asdict(),
                "seed": run.seed,
                "index": arrays["index"],
                "class": names[labels],
                "predicted": names[predicted],
                "correct": predicted == labels,
                "probability": np.exp(log_probabilities(logits).max(axis=1)),
            }
        )
