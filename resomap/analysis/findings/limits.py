"""Findings that limit what the numbers mean: missing runs, few seeds, confounds ..."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from resomap.analysis.findings.baseline import majority_baseline
from resomap.analysis.findings.finding import Estimate, Finding, select
from resomap.analysis.sanity_check import failed_methods
from resomap.analysis.tables import Tables

# Maps on a coarser grid, in cells per side, are not meaningful.
MIN_GRID = 4
# Completeness error above which Integrated Gradients need more steps.
MAX_COMPLETENESS_ERROR = 0.05
MISSING_STATUSES = ("diverged", "infeasible", "stale", "failed", "training", "waiting")
UNMEASURED_STATUSES = ("infeasible", "unsupported")
CELL_OF_METHOD = ["method", "model", "resolution"]


def limit_findings(
    tables: Tables, native_resolution: int, larger: Finding | None = None
) -> list[Finding]:
    """Find every limit of this sweep, the most serious first; `larger` is of larger files."""
    return [
        *nothing_learned(tables.cells),
        *changed_recipes(tables.runs),
        *disturbed_measurements(tables.profiles),
        *unmeasured(tables.profiles),
        *few_seeds(tables.cells),
        *confounds(tables.environment),
        *above_native(tables.cells["resolution"], native_resolution, larger),
        *failed_sanity_checks(tables.sanity),
        *incomplete_attributions(tables.explanations),
        *coarse_maps(tables.explanations),
        Finding("one training set", "shown", ""),
    ]


def nothing_learned(cells: pd.DataFrame) -> list[Finding]:
    """Find that no cell beats the majority class, so that nothing else describes learning."""
    baseline = majority_baseline(cells)
    if baseline.state != "not beaten":
        return []
    return [Finding("nothing learned", "shown", baseline.evidence, numbers=baseline.numbers)]


def missing_runs(runs: pd.DataFrame) -> list[Finding]:
    """Find the runs without a number, one finding per status."""
    findings = []
    for status in MISSING_STATUSES:
        rows = runs[runs["status"] == status]
        if len(rows):
            findings.append(_about_runs("missing runs", rows, len(runs), status))
    return findings


def _about_runs(kind: str, rows: pd.DataFrame, total: int, state: str = "shown") -> Finding:
    """Build a finding with a part per run."""
    parts = []
    for row in rows.to_dict("records"):
        subject = select(row, "model", "resolution", "seed", "reason")
        parts.append(Finding("run", row["status"], "", subject))
    numbers = {"runs": Estimate(len(rows), n=total)}
    return Finding(kind, state, "tables/runs.csv", numbers=numbers, parts=tuple(parts))


def changed_recipes(runs: pd.DataFrame) -> list[Finding]:
    """Find the runs that were trained with a halved learning rate or an accumulated batch."""
    trained = runs[runs["status"] == "ok"]
    # A retry after a loss that is not finite halves the learning rate.
    halved = trained[trained["learning_rate"] < trained["learning_rate"].max()]
    # A blank is a batch in one piece, larger than any micro-batch.
    micro_batch = trained["micro_batch"].fillna(math.inf)
    accumulated = trained[micro_batch < micro_batch.max()]
    kinds = {"halved learning rate": halved, "accumulated batch": accumulated}
    return [_about_runs(kind, rows, len(runs)) for kind, rows in kinds.items() if len(rows)]


def disturbed_measurements(profiles: pd.DataFrame) -> list[Finding]:
    """Find the cost measurements that are marked invalid, with how often each reason occurs."""
    is_invalid = profiles["valid"] == False  # noqa: E712 (a blank is not False)
    rows = profiles[(profiles["status"] == "ok") & is_invalid]
    if rows.empty:
        return []
    reasons = rows["why_invalid"].fillna("disturbed").value_counts()
    subject = {"reasons": {str(reason): int(count) for reason, count in reasons.items()}}
    return [_about_measurements("disturbed measurements", rows, len(profiles), subject)]


def unmeasured(profiles: pd.DataFrame) -> list[Finding]:
    """Find the cost measurements that could not be made, one finding per status."""
    findings = []
    for status in UNMEASURED_STATUSES:
        rows = profiles[profiles["status"] == status]
        if len(rows):
            # What does not fit has no further reason.
            reasons = _reasons(rows) if status == "unsupported" else []
            subject = {"status": status, "reasons": reasons}
            findings.append(_about_measurements("unmeasured", rows, len(profiles), subject))
    return findings


def _reasons(rows: pd.DataFrame) -> list[str]:
    """Return why measurements could not be made, as far as that is known."""
    reasons = rows.get("why_invalid", pd.Series(dtype=object)).dropna()
    return [str(reason) for reason in reasons.unique()]


def _about_measurements(
    kind: str, rows: pd.DataFrame, total: int, subject: dict[str, Any]
) -> Finding:
    """Build a finding with a part per measurement."""
    names = ("model", "resolution", "variant", "precision", "batch_size")
    parts = tuple(
        Finding("measurement", row["status"], "", select(row, *names))
        for row in rows.to_dict("records")
    )
    numbers = {"measurements": Estimate(len(rows), n=total)}
    return Finding(kind, "shown", "tables/profiles.csv", subject, numbers, parts)


def few_seeds(cells: pd.DataFrame) -> list[Finding]:
    """Find the cells with one seed, and whether any has two."""
    finished = cells.loc[cells["n_seeds"] > 0, "n_seeds"]
    findings = []
    for kind, count in (("one seed", 1), ("two seeds", 2)):
        num_cells = int((finished == count).sum())
        if num_cells:
            numbers = {"cells": Estimate(num_cells, n=len(finished))}
            findings.append(Finding(kind, "shown", "tables/cells.csv", numbers=numbers))
    return findings


def confounds(environment: dict[str, list[Any]]) -> list[Finding]:
    """Find what differs between the environments of the runs."""
    findings = []
    for name, values in environment.items():
        if len(values) > 1:
            subject = {"name": name, "values": values}
            findings.append(Finding("confound", "shown", "tables/environment.json", subject))
    return findings


def above_native(
    resolutions: Iterable[int], native_resolution: int, larger: Finding | None = None
) -> list[Finding]:
    """Find the resolutions above that of the stored images, which add pixels and no detail.

    The state is `pixels dropped` where files are `larger` (see user_files) than what is stored.
    """
    above = sorted({int(px) for px in resolutions if px > native_resolution})
    if not above:
        return []
    subject = {"resolutions": above, "stored_at": native_resolution}
    if larger is None or larger.state == "not shown":
        return [Finding("above native", "shown", "data/manifest.json", subject)]
    return [Finding("above native", "pixels dropped", larger.evidence, subject, larger.numbers)]


def failed_sanity_checks(sanity: pd.DataFrame) -> list[Finding]:
    """Find the methods that fail the sanity check, with a part per cell."""
    failed = failed_methods(sanity)
    retained = sanity.groupby(CELL_OF_METHOD, sort=False)["retained"].mean()
    # The value is the mean over runs, also of those that passed.
    is_failed = [(model, px, method) in failed for method, model, px in retained.index]
    values = retained[np.array(is_failed, bool)]
    return _per_method("failed sanity check", values, "tables/sanity.csv")


def _per_method(kind: str, values: pd.Series, evidence: str) -> list[Finding]:
    """Build a finding per method from values indexed by CELL_OF_METHOD."""
    return [
        Finding(kind, "shown", evidence, {"method": str(method)}, parts=_per_cell(of_method))
        for method, of_method in values.groupby(level="method", sort=False)
    ]


def _per_cell(values: pd.Series) -> tuple[Finding, ...]:
    """Build a finding per cell from values indexed by CELL_OF_METHOD."""
    return tuple(
        Finding("cell", "shown", "", {"model": model, "resolution": px}, {"value": Estimate(v)})
        for (_, model, px), v in values.items()
    )


def incomplete_attributions(explanations: pd.DataFrame) -> list[Finding]:
    """Find where Integrated Gradients do not add up, the largest error first."""
    # Only methods with a completeness axiom have an error; others are blank.
    of_all = explanations[explanations["group"] == "all"]
    errors = of_all.groupby(CELL_OF_METHOD, sort=False)["completeness_error"].mean()
    large = errors[errors > MAX_COMPLETENESS_ERROR]
    large = large.sort_values(ascending=False, kind="stable")
    if large.empty:
        return []
    parts = _per_cell(large)
    return [Finding("incomplete attributions", "shown", "tables/explanations.csv", parts=parts)]


def coarse_maps(explanations: pd.DataFrame) -> list[Finding]:
    """Find the methods whose maps have a grid that is too coarse, one finding per method."""
    coarse = explanations[explanations["grid"] < MIN_GRID]
    findings = []
    for method, rows in coarse.groupby("method", sort=False):
        resolutions: Sequence[int] = sorted(set(rows["resolution"]))
        subject = {"method": str(method), "resolutions": resolutions}
        findings.append(Finding("coarse maps", "shown", "tables/explanations.csv", subject))
    return findings
