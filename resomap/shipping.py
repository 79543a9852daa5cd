"""The command `resomap ship`: the folder that an application needs to run a trained network."""

import csv
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resomap.config.schema import Config
from resomap.errors import ConfigError, DataError
from resomap.parity import RunSource, find_cell, open_run
from resomap.workflow.lifecycle import read_run_config

if TYPE_CHECKING:
    import numpy as np

    from resomap.analysis.predictions import Cell, Run
    from resomap.deploy.card import CardFacts, ClassScore

FIRES = "fires"
RECIPE_KEYS = ("epochs", "batch_size", "precision")


def ship(
    cell: Annotated[
        str | None,
        typer.Argument(
            help="Model and its training resolution: tiny_cnn@48. Default: the choice."
        ),
    ] = None,
    directory: Annotated[
        Path, typer.Option(help="Directory in which the sweep ran; it holds results/.")
    ] = Path(),
    model: Annotated[
        Path | None, typer.Option(help="Exported network (.onnx). Default: that of the sweep.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the bundle. Default: bundle/MODEL@RESOLUTION."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the run. Default: the first.")
    ] = None,
) -> None:
    """Write the bundle of a trained network: model, preprocessing, labels, card and programs.

    It is written only if the exported network answers as the trained one on its golden images.
    """
    import numpy as np

    from resomap.deploy.bundle import GoldenImages, choose_golden, prove_bundle, write_bundle
    from resomap.workflow.checked_files import read_json

    config, results = read_run_config(directory), directory / "results"
    chosen = find_cell(cell, results, config)
    source = open_run(results, config, chosen, chosen.resolution)
    run = _choose_run(source, seed)
    index = source.runs.index(run)
    exported = model or _exported(results, run)
    native = np.array(source.images[choose_golden(source.labels)])
    described = source.preprocessing
    logits = source.networks[index](described.normalise(described.resize(native)))
    manifest = read_json(results / "data" / "manifest.json")
    folder = output or Path("bundle", f"{chosen.model}@{chosen.resolution}")
    write = partial(
        write_bundle,
        model=exported,
        preprocessing=described,
        classes=manifest["classes"],
        golden=GoldenImages(native, logits),
        facts=read_facts(results, config, run, manifest),
    )
    # Proven elsewhere first: an earlier bundle must not be replaced by a wrong one.
    with TemporaryDirectory() as trial:
        write(Path(trial))
        problems = prove_bundle(Path(trial))
    if problems:
        raise DataError(f"{exported} is not the network of {run.folder}: {'; '.join(problems)}")
    write(folder)
    typer.echo(
        f"{folder}: {chosen}, seed {run.seed}; try `python {folder / 'predict.py'} --check`"
    )


def _choose_run(source: RunSource, seed: int | None) -> "Run":
    by_seed = {run.seed: run for run in source.runs}
    if seed is None:
        return source.runs[0]
    if seed not in by_seed:
        seeds = ", ".join(map(str, by_seed))
        raise ConfigError(f"--seed {seed}: no finished run; finished are those of {seeds}")
    return by_seed[seed]


def _exported(results: Path, run: "Run") -> Path:
    """Return the network that the sweep exported for its training resolution, in fp32."""
    folder = results.joinpath("deploy", *run.folder.parts[-4:], f"at{run.cell.resolution}")
    path = folder / "fp32.onnx"
    if not path.exists():
        raise DataError(f"{path} is missing: export it first, or name a file with --model")
    return path


def read_facts(
    results: Path, config: Config, run: "Run", manifest: dict[str, Any]
) -> "CardFacts":
    """Read what the card of a run states from its predictions and from the tables."""
    from resomap.analysis.statistics import accuracy_interval
    from resomap.deploy.card import CardFacts, Score
    from resomap.workflow.checked_files import read_arrays, read_json
    from resomap.workflow.predictions import RAW, logits_name, stored_logits

    stored, confidence = read_arrays(run.folder / "predictions.npz"), config.report.confidence
    by_resolution = {}
    for mode, px in stored_logits(stored):
        if mode == RAW:
            right = stored[logits_name(px)].argmax(axis=1) == stored["label"]
            by_resolution[px] = right
    correct = by_resolution.pop(run.cell.resolution)
    interval = accuracy_interval(correct[None], confidence)
    score = Score(interval.mean, interval.low, interval.high, len(correct))
    metrics = read_json(run.folder / "metrics.json")
    recipe = {key: str(getattr(config.training, key)) for key in RECIPE_KEYS}
    return CardFacts(
        cell=str(run.cell),
        seed=run.seed,
        score=score,
        confidence=confidence,
        classes=_score_classes(correct, stored["label"], manifest["classes"]),
        dataset=str(manifest["dataset"]),
        recipe={**recipe, "optimizer": config.training.optimizer.type},
        versions=metrics.get("environment", {}),
        by_resolution={px: float(right.mean()) for px, right in by_resolution.items()},
        evidence=_read_alarms(results / "tables" / "alarms.csv", run.cell),
        start=str(config.training.start),
    )


def _score_classes(
    correct: "np.ndarray", labels: "np.ndarray", names: list[str]
) -> list["ClassScore"]:
    from resomap.deploy.card import ClassScore

    scores = []
    for label, name in enumerate(names):
        own = correct[labels == label]
        if len(own):
            scores.append(ClassScore(name, float(own.mean()), len(own)))
    return scores


def _read_alarms(table: Path, cell: "Cell") -> list[str] | None:
    """Return the alarms of a cell that fire; None where its evidence was not examined."""
    if not table.exists():
        return None
    with table.open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if _is_of(row, cell)]
    if not rows:
        return None
    firing = [row for row in rows if row["state"] == FIRES]
    return [
        f"{row['group'] or 'all classes'}: {100 * float(row['share']):.0f} % of the evidence lies on "
        f"the object, at an accuracy of {float(row['accuracy']):.2f}"
        for row in firing
    ]


def _is_of(row: dict[str, str], cell: "Cell") -> bool:
    return (row["family"], row["model"], row["resolution"]) == (*cell[:2], str(cell.resolution))
