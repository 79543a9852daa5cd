"""The budgets of the `report` section: which candidates keep them, with confidence.

A budget on a measured quantity is kept when a one-sided bound keeps it, since a cell that only
seems to keep it exceeds it half of the time. The bounds share the error over the candidates.
Model size and MACs are counted without error.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.latencies import Latency, upper_factor
from resomap.analysis.decision.selection import EVERY_CANDIDATE, Selection
from resomap.analysis.statistics import (
    Pool,
    accuracy_interval,
    mean_interval,
    pool_seed_variance,
    wilson,
)
from resomap.config.report import COST_BUDGETS, Report
from resomap.config.sweep_checks import check_recall_classes
from resomap.text import format_milliseconds
from resomap.workflow.predictions import INT8


@dataclass(frozen=True)
class BudgetCheck:
    """The rules, the one-sided level of each bound, and the classes and their seed variances.

    Candidates outside of the `selection` are excluded, too.
    """

    rules: Report
    error: float
    classes: Sequence[str]
    pool: Pool | None
    selection: Selection = EVERY_CANDIDATE

    @property
    def confidence(self) -> float:
        """Return the confidence of a two-sided interval with ends of this level."""
        return 1 - 2 * self.error


Exclusions = list[dict[str, Any]]


class Bounded(NamedTuple):
    """A measured value, and the end of its interval that has to keep a budget."""

    value: float
    bound: float


def prepare_checks(
    candidates: Sequence[Candidate],
    rules: Report,
    classes: Sequence[str] = (),
    selection: Selection = EVERY_CANDIDATE,
) -> BudgetCheck:
    """Return what checks the budgets of these candidates, which share the error.

    ConfigError where a budget names a class that the dataset has not.
    """
    check_recall_classes(rules, classes)
    pool = pool_seed_variance(one.val_correct for one in candidates)
    error = shared_error(candidates, rules.confidence)
    return BudgetCheck(rules, error, classes, pool, selection)


def apply_budgets(
    candidates: Sequence[Candidate],
    rules: Report,
    classes: Sequence[str] = (),
    selection: Selection = EVERY_CANDIDATE,
    error: float | None = None,
) -> tuple[list[Candidate], Exclusions]:
    """Split the candidates into those that keep the budgets and records of the others.

    Those outside of the `selection` count as measured, so that bounds are the same for any of it.
    `error` is the level of each bound, by default the share of each of them.
    """
    check = prepare_checks(candidates, rules, classes, selection)
    if error is not None:
        check = replace(check, error=error)
    allowed, excluded = [], []
    for candidate in candidates:
        reason = next(_reasons(candidate, check), None)
        if reason is None:
            allowed.append(candidate)
        else:
            excluded.append({**candidate.identity, "reason": reason})
    return allowed, excluded


def cost_reasons(candidates: Sequence[Candidate], rules: Report) -> list[str | None]:
    """Return why each candidate exceeds a budget on costs, None where it keeps them.

    Only costs are read, so that networks which are not trained yet can be judged.
    """
    check = BudgetCheck(rules, shared_error(candidates, rules.confidence), (), None)
    return [next(chain(_latency(one, check), _costs(one, check)), None) for one in candidates]


def shared_error(candidates: Sequence[Candidate], confidence: float) -> float:
    """Return the level of each bound: all measurements share the error."""
    # Several candidates are one network in several variants, or several networks of one cost.
    networks = {one.evaluated for one in candidates}
    latencies = {
        (*one.cell[:2], one.tested_at, one.mode == INT8, one.variant) for one in candidates
    }
    return (1 - confidence) / max(len(networks), len(latencies), 1)


def exceeds_latency(candidate: Candidate, rules: Report, error: float) -> bool:
    """Return whether a latency is not shown to keep the budget, by a bound of level `error`."""
    check = BudgetCheck(rules, error, (), None)
    return candidate.latency is not None and any(_latency(candidate, check))


def _reasons(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield why a candidate cannot be chosen: first whether it is selected, then the budgets."""
    yield from check.selection.reasons(candidate)
    for budget in (_failures, _accuracy, _balanced_accuracy, recall_reasons, _latency, _costs):
        yield from budget(candidate, check)
    yield from _evidence(candidate, check)


def _failures(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield that too many seeds failed: the survivors alone would flatter the cell."""
    failed, limit = candidate.failed_seeds, check.rules.max_failed_seeds
    if failed > limit:
        total = failed + len(candidate.val.seeds)
        yield f"{failed} of {total} seeds diverged or did not fit in memory"


def _accuracy(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield that the validation accuracy is not shown to reach the budget."""
    limit = check.rules.min_accuracy
    if limit is not None:
        yield from _too_low("validation accuracy", bounded_accuracy(candidate, check), limit)


def bounded_accuracy(candidate: Candidate, check: BudgetCheck) -> Bounded:
    """Return the validation accuracy of a candidate with its lower bound."""
    interval = accuracy_interval(candidate.val_correct, check.confidence, check.pool)
    return Bounded(interval.mean, interval.low)


def _too_low(name: str, measured: Bounded, limit: float) -> Iterator[str]:
    """Yield that a value, or the lower end of its interval, is below the budget."""
    value, low = measured
    if value < limit:
        yield f"{name} {value:.3f} is below {limit:g}"
    elif low < limit:
        yield f"{name} {value:.3f} is not shown to reach {limit:g} (it may be {low:.3f})"


def _balanced_accuracy(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield that the balanced validation accuracy is not shown to reach the budget."""
    limit = check.rules.min_balanced_accuracy
    if limit is not None:
        yield from _too_low("balanced accuracy", bounded_balance(candidate, check), limit)


def bounded_balance(candidate: Candidate, check: BudgetCheck) -> Bounded:
    """Return the balanced validation accuracy of a candidate with its lower bound."""
    labels = candidate.val.labels
    counts = np.bincount(labels)
    # Each class weighs the same, however many images it has.
    weights = len(labels) / np.count_nonzero(counts) / counts[labels]
    interval = mean_interval(candidate.val_correct * weights, check.confidence)
    # Where nearly all images are right, few of them show nothing about the others.
    effective = len(labels) ** 2 / (weights**2).sum()
    low, _ = wilson(interval.mean, effective, check.confidence)
    return Bounded(interval.mean, min(interval.low, low))


def recall_reasons(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield the classes whose recall is not shown to reach its budget."""
    for budget in check.rules.min_recall:
        is_class = candidate.val.labels == list(check.classes).index(budget.name)
        if not is_class.any():
            yield f"recall of {budget.name} is unknown: no validation image has that class"
            continue
        correct = candidate.val_correct[:, is_class]
        interval = accuracy_interval(correct, check.confidence, check.pool)
        measured = Bounded(interval.mean, interval.low)
        yield from _too_low(f"recall of {budget.name}", measured, budget.recall)


def _latency(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield that the p90 latency is not shown to keep the budget."""
    limit = check.rules.max_latency_ms
    if limit is None:
        return
    if candidate.latency is None:
        yield "its latency was not measured"
        return
    # The 90th percentile: half of the images may exceed a budget that the median keeps.
    measured = bounded_latency(candidate.latency, check)
    yield from _too_high("p90 latency", measured, limit, format_milliseconds)


def bounded_latency(latency: Latency, check: BudgetCheck) -> Bounded:
    """Return the p90 latency with its upper bound, ms."""
    return Bounded(latency.p90, latency.p90 * latency.upper_factor(check.error))


def _too_high(
    name: str, measured: Bounded, limit: float, form: Callable[[float], str]
) -> Iterator[str]:
    """Yield that a value, or the upper end of its interval, is above the budget."""
    value, highest = measured
    if value > limit:
        yield f"{name} {form(value)} is above {form(limit)}"
    elif highest > limit:
        yield f"{name} {form(value)} is not shown to keep {form(limit)} (it may be {form(highest)})"


def _costs(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield the other costs of an image that are not shown to keep their budgets.

    Model size and MACs are counted, and peak memory is the largest of its repetitions: points
    are compared. Energy is a mean over rounds, and its bound is compared.
    """
    for key, cost in COST_BUDGETS.items():
        limit = getattr(check.rules, key)
        if limit is None:
            continue
        measured = bounded_cost(candidate, cost.column, check)
        if measured is None:
            yield f"its {cost.name} was not measured"
            continue
        yield from _too_high(cost.name, measured, limit, f"{{:.4g}} {cost.unit}".format)


def bounded_cost(candidate: Candidate, column: str, check: BudgetCheck) -> Bounded | None:
    """Return a cost of an image with its upper bound; None where it was not measured."""
    value = candidate.costs.get(column)
    if value is None:
        return None
    if column == "energy_j_per_image":
        factor = upper_factor(np.log(candidate.energy_rounds), check.error)
        return Bounded(value, value * factor)
    return Bounded(value, value)


def _evidence(candidate: Candidate, check: BudgetCheck) -> Iterator[str]:
    """Yield that the evidence is off the object, or not shown to be on it."""
    if check.rules.alarms == "forbidden":
        if candidate.alarm is None:
            yield "its evidence was not examined"
        elif candidate.alarm == "fires":
            yield "the alarm about its evidence fires"
    limit = check.rules.min_localisation
    if limit is None:
        return
    if candidate.localisation is None:
        yield "its localisation was not measured"
    elif candidate.localisation < limit:
        yield f"localisation is not shown to reach {limit:g} (it may be {candidate.localisation:.2f})"
