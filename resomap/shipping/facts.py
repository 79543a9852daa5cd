"""What the card of a run states, read from its predictions and from the tables."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resomap.config.deploy import ONNX_RUNTIME
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.errors import ConfigError, DataError
from resomap.workflow.checked_files import read_arrays, read_json
from resomap.workflow.predictions import INT8, RAW, logits_name, stored_logits
from resomap.workflow.receipts import check_content

if TYPE_CHECKING:
    import numpy as np

    from resomap.analysis.predictions import Cell, Run
    from resomap.deploy.card import CardFacts, ClassScore, Int8Loss

FIRES, UNKNOWN = "fires", "unknown"
RECIPE_KEYS = ("epochs", "batch_size", "precision")


def read_facts(
    results: Path,
    config: Config,
    run: "Run",
    manifest: dict[str, Any],
    lowered: "np.ndarray | None" = None,
) -> "CardFacts":
    """Read what the card of a run states from its predictions and from the tables.

    `lowered` are the test logits of its network in int8, whose accuracy is stated then.
    """
    from resomap.analysis.statistics import accuracy_interval
    from resomap.deploy.card import CardFacts, Score

    stored, confidence = read_arrays(run.folder / "predictions.npz"), config.report.confidence
    labels, own = stored["label"], run.cell.resolution
    by_resolution = {}
    for mode, px in stored_logits(stored):
        if mode == RAW:
            by_resolution[px] = stored[logits_name(px)].argmax(axis=1) == labels
    trained = by_resolution.pop(own)
    correct = trained if lowered is None else lowered.argmax(axis=1) == labels
    interval = accuracy_interval(correct[None], confidence)
    metrics = read_json(run.folder / "metrics.json")
    recipe = {key: str(getattr(config.training, key)) for key in RECIPE_KEYS}
    start, licence = describe_start(config, run.cell.model, metrics)
    return CardFacts(
        cell=str(run.cell),
        seed=run.seed,
        score=Score(interval.mean, interval.low, interval.high, len(correct)),
        confidence=confidence,
        classes=_score_classes(correct, labels, manifest["classes"]),
        dataset=str(manifest["dataset"]),
        recipe={**recipe, "optimizer": config.training.optimizer.type},
        versions=metrics.get("environment", {}),
        # Another size is judged by the network that was trained, in its own precision.
        trained_accuracy=float(trained.mean()),
        by_resolution={px: float(right.mean()) for px, right in by_resolution.items()},
        evidence=_read_alarms(results / "tables" / "alarms.csv", run.cell),
        start=start,
        licence=licence,
        loss=None if lowered is None else _read_loss(results, config, run.cell),
    )


def describe_start(
    config: Config, model: str, metrics: dict[str, Any]
) -> tuple[str, str | None]:
    """Return what a run of a model started from, and the licence of those weights if known."""
    start = config.training.start
    recorded = (metrics.get("initial_weights") or {}).get("origin")
    if start.is_random or not start.pretrained:
        return str(start), None
    from resomap.models.licences import find_licence
    from resomap.models.published import find_published

    # The tag as recorded: that which a library prefers differs between its versions.
    tag = recorded.rpartition(" ")[2] if recorded else start.pretrained
    architecture = find_architecture(config.models, model)
    try:
        published = find_published(architecture.builder, tag)
    except ConfigError:  # the library, or this version of it, does not know them
        return recorded or str(start), None
    return published.origin, find_licence(published)


def _read_loss(results: Path, config: Config, cell: "Cell") -> "Int8Loss":
    """Read what int8 costs a cell; DataError where the table has no such row."""
    from resomap.deploy.card import Int8Loss

    table, side = results / "tables" / "deploy.csv", str(cell.resolution)
    # A bundle runs in ONNX Runtime, and another runtime rounds otherwise.
    wanted = (*cell[:2], side, side, ONNX_RUNTIME, INT8)
    names = ("family", "model", "train_resolution", "eval_resolution", "runtime", "precision")
    for row in _rows(table):
        if tuple(row[name] for name in names) == wanted and row["accuracy_lost"]:
            lost, low, high = (
                float(row[f"accuracy_lost{end}"]) for end in ("", "_low", "_high")
            )
            return Int8Loss(
                lost=lost,
                low=low,
                high=high,
                agreement=float(row["agreement"]),
                seeds=int(row["deployable"]),
                images=int(row["n"]),
                margin=config.report.margin,
                certified=row["certified"] == "True",
            )
    raise DataError(
        f"{table}: it does not say what int8 costs {cell}: run `snakemake deploy` with "
        f"{ONNX_RUNTIME} in system.deploy.runtimes and {INT8} in system.deploy.precisions"
    )


def _rows(table: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table as text; none where it does not exist."""
    if table.exists():
        check_content(table)
        with table.open(newline="", encoding="utf-8") as stream:
            yield from csv.DictReader(stream)


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
    # Unknown is what no image that is predicted correctly could tell.
    rows = [row for row in _rows(table) if _is_of(row, cell) and row["state"] != UNKNOWN]
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
