"""A cascade of the sweep as a bundle: its networks, their thresholds, and what the card states."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from resomap.config.schema import Config
from resomap.errors import ConfigError, DataError, suggest
from resomap.shipping.runs import open_run
from resomap.shipping.shipment import Shipment, choose_run, open_shipment

if TYPE_CHECKING:
    import numpy as np

    from resomap.analysis.per_image.cascades import Cascade, CascadeOutcome
    from resomap.analysis.predictions import Cell
    from resomap.deploy.cascades.bundle import CascadeFacts, GoldenDecisions

TABLE = "cascades.csv"
CLEAR = 1e-3
"""Distance from a threshold at which rounding on another machine cannot change a decision."""


@dataclass(frozen=True)
class ShippedCascade:
    """All that the bundle of a cascade is written from."""

    shipments: Sequence[Shipment]
    golden: "GoldenDecisions"
    facts: "CascadeFacts"

    def __str__(self) -> str:
        return (
            f"{' > '.join(stage.name for stage in self.facts.stages)}, seed {self.facts.seed}"
        )

    @property
    def folder_name(self) -> str:
        """Return the default name of the bundle: `tiny_cnn@24+tiny_cnn@48`."""
        return "+".join(each.folder_name for each in self.shipments)

    def write(self, folder: Path) -> None:
        """Write the bundle into a folder."""
        from resomap.deploy.cascades.bundle import write_cascade

        write_cascade(
            folder,
            write_stages=[each.write for each in self.shipments],
            classes=self.shipments[0].classes,
            golden=self.golden,
            facts=self.facts,
        )

    def prove(self, folder: Path) -> list[str]:
        """Return what the networks of the bundle do differently; empty where nothing."""
        from resomap.deploy.cascades.bundle import prove_cascade

        problems = "; ".join(prove_cascade(folder))
        return [f"{self}: it does not answer as the sweep: {problems}"] if problems else []


class _FittedCascade(NamedTuple):
    """A cascade with its cells, the seeds that all of them have, and its verdict."""

    cascade: "Cascade"
    cells: "list[Cell]"
    seeds: list[int]
    verdict: str


def open_cascade(
    text: str | None, results: Path, config: Config, seed: int | None
) -> ShippedCascade:
    """Read the cascade of `tiny_cnn@24 > tiny_cnn@48`, or the one that saves the most.

    ConfigError where the sweep has no such cascade, or none that is shown to save time.
    """
    fitted = _fit(_find_row(text, results / "tables" / TABLE), results, config)
    sources = [open_run(results, config, cell, cell.resolution) for cell in fitted.cells]
    runs = [choose_run(source, fitted.seeds[0] if seed is None else seed) for source in sources]
    place = fitted.seeds.index(runs[0].seed)
    outcome = fitted.cascade.run("test")
    rows = _golden_rows(fitted.cascade, outcome, place, sources[0].labels)
    open_stage = partial(open_shipment, results, config, rows=rows)
    shipments = [open_stage(source, run) for source, run in zip(sources, runs, strict=True)]
    facts = _describe(fitted, outcome, place, config)
    return ShippedCascade(shipments, _decide(shipments, outcome, place, rows), facts)


def _find_row(text: str | None, table: Path) -> dict[str, Any]:
    """Return the row of cascades.csv that `text` names, or that of the finding."""
    from resomap.analysis.findings.cascades import best_cascade
    from resomap.workflow.checked_tables import read_table

    if not table.exists():
        raise DataError(f"{table} is missing: run `snakemake tables` first")
    rows = read_table(table)
    rows = rows[rows["kind"] == "cascade"]
    known = list(rows["stages"])
    if not known:
        raise ConfigError(
            f"{table}: the sweep has no cascade: no cell is more accurate than a cheaper one"
        )
    if text is None:
        finding = best_cascade(rows)
        if finding.state != "shown":
            raise ConfigError(
                f"{table}: no cascade is shown to save time; name one: "
                f"{', '.join(map(repr, known))}"
            )
        wanted = finding.subject["stages"]
    else:
        wanted = " > ".join(part.strip() for part in text.split(">"))
    if wanted not in known:
        raise ConfigError(f"{text!r} is no cascade of {table}; {suggest(wanted, known)}")
    row: dict[str, Any] = rows.iloc[known.index(wanted)].to_dict()
    return row


def _fit(row: dict[str, Any], results: Path, config: Config) -> _FittedCascade:
    """Set the thresholds of a cascade as the tables did; DataError where they differ from it."""
    from resomap.analysis.decision.inputs import read_sweep
    from resomap.analysis.decision.ways import main_latencies, ways_to_run
    from resomap.analysis.per_image.answers import read_answers
    from resomap.analysis.per_image.cascade_tables import TOLERANCE_SHARE, format_thresholds
    from resomap.analysis.per_image.cascades import fit_cascade
    from resomap.analysis.predictions import model_files
    from resomap.analysis.profiles import read_records

    _, cells, seeds, runs = read_sweep(results, config)
    profiles = model_files(cells, results / "profiles", ".json", "profile", runs.sweep)
    latencies = main_latencies(ways_to_run(read_records(profiles, "cells")))
    by_name = {f"{cell.model}@{cell.resolution}": cell for cell in cells}
    own = [by_name.get(name) for name in row["stages"].split(" > ")]
    stages = [cell for cell in own if cell in latencies]
    answers = [read_answers(cell, seeds, runs) for cell in stages]
    found = [each for each in answers if each is not None]
    stale = DataError(
        f"{results / 'tables' / TABLE}: {row['stages']} is not what the results of the sweep give "
        "now: run `snakemake tables` again"
    )
    if len(found) != len(own):
        raise stale
    common = sorted(set.intersection(*(set(each.seeds) for each in found)))
    costs = [latencies[cell].p50 for cell in stages]
    of_seeds = [each.of_seeds(common) for each in found]
    cascade = fit_cascade(of_seeds, costs, TOLERANCE_SHARE * config.report.margin)
    if format_thresholds(cascade) != str(row["thresholds"]):
        raise stale
    return _FittedCascade(cascade, stages, common, str(row["verdict"]))


def _golden_rows(
    cascade: "Cascade", outcome: "CascadeOutcome", place: int, labels: "np.ndarray"
) -> "np.ndarray":
    """Return test images of every network that answers, and of as many classes as possible."""
    import numpy as np

    from resomap.deploy.bundle import choose_golden

    clear = np.ones(len(labels), bool)
    for stage, threshold in zip(cascade.stages, cascade.thresholds, strict=False):
        clear &= np.abs(stage.test.confidence[place] - threshold[place]) > CLEAR
    (candidates,) = clear.nonzero()
    # A group for each pair of network and class.
    groups = _numbers(outcome, place) * (labels.max() + 1) + labels
    return candidates[choose_golden(groups[candidates])]


def _numbers(outcome: "CascadeOutcome", place: int) -> "np.ndarray":
    """Return the number of the network that answers each image (N,), from 1."""
    number: np.ndarray = 1 + sum(passed[place].astype(int) for passed in outcome.passed)
    return number


def _decide(
    shipments: Sequence[Shipment], outcome: "CascadeOutcome", place: int, rows: "np.ndarray"
) -> "GoldenDecisions":
    """Return which network answers the golden images, and what."""
    import numpy as np

    from resomap.deploy.cascades.bundle import GoldenDecisions

    numbers = _numbers(outcome, place)[rows]
    labels = np.stack([each.golden.logits.argmax(axis=1) for each in shipments])
    answered = labels[numbers - 1, np.arange(len(rows))]
    return GoldenDecisions(shipments[0].golden.native, answered, numbers)


def _describe(
    fitted: _FittedCascade, outcome: "CascadeOutcome", place: int, config: Config
) -> "CascadeFacts":
    """Return what the card states of the networks of one seed, on the test images."""
    import numpy as np

    from resomap.analysis.statistics import accuracy_interval, difference_interval
    from resomap.deploy.cascades.bundle import CascadeFacts, CascadeStage

    cascade, confidence = fitted.cascade, config.report.confidence
    correct, passed = outcome.correct[place], outcome.passed[0][place]
    last = cascade.stages[-1].test.correct[place]
    limits: list[float | None] = [
        float(each[place]) if np.isfinite(each[place]) else None for each in cascade.thresholds
    ]
    stages = []
    for cell, limit, cost in zip(fitted.cells, [*limits, None], cascade.costs, strict=True):
        stages.append(CascadeStage(f"{cell.model}@{cell.resolution}", limit, cost))
    return CascadeFacts(
        stages=stages,
        seed=fitted.seeds[place],
        images=len(correct),
        confidence=confidence,
        accuracy=accuracy_interval(correct[None], confidence),
        forwarded=accuracy_interval(passed[None], confidence),
        difference=difference_interval(correct[None], last[None], confidence),
        mean_latency_ms=float(outcome.costs(cascade.costs)[place].mean()),
        verdict=fitted.verdict,
    )
