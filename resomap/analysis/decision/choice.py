"""The choice: the cheapest cell shown to be as accurate as every other.

The record of the choice is written to choice.json. `report/text/choice.py` puts it into words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from resomap.analysis.accuracies import Accuracies, compute_accuracies
from resomap.analysis.decision.advice import SETTLED, Advice, advise
from resomap.analysis.decision.budgets import (
    Exclusions,
    apply_budgets,
    exceeds_latency,
    shared_error,
)
from resomap.analysis.decision.candidates import Candidate, cheapest_ways
from resomap.analysis.decision.comparison import Comparison, Ranking, rank_candidates
from resomap.analysis.decision.confounds import confound_records
from resomap.analysis.decision.control import control_record
from resomap.analysis.decision.looks import ONE_LOOK, Looks
from resomap.analysis.decision.neighbours import neighbour_records
from resomap.analysis.decision.selection import EVERY_CANDIDATE, Selection
from resomap.analysis.predictions import Cell, Predictions
from resomap.config.report import Report
from resomap.workflow.predictions import RAW

ChoiceRecord = dict[str, Any]
# Power of the smallest difference that is called detectable.
POWER = 0.8


def choose(
    candidates: Sequence[Candidate],
    rules: Report,
    classes: Sequence[str] = (),
    accuracies: Accuracies | None = None,
    *,
    device: str | None = None,
    exports: Sequence[Mapping[str, Any]] = (),
    selection: Selection = EVERY_CANDIDATE,
    looks: Looks = ONE_LOOK,
) -> ChoiceRecord:
    """Choose among the candidates within the budgets; returns plain values for choice.json.

    `status` is `chosen` (a cell is certified: shown on test images to lose less than the margin
    to every other), `best` (every cheaper cell than the best is shown to be worse), `undecided`
    (neither; the best stands in), `nothing learned` (no cell is shown to beat the majority
    class) or `none` (no such cell is within the budgets). `confounds` lists what the runs of
    compared cells differ in; while it is not accepted, no cell of them is certified. `certified`
    is the certified cell, and `frugal` the cheapest one that is not shown to be worse;
    `rules.attitude` says which of them `choice` is. `provisional` lists the cells whose invalid
    latency the choice rests on, and `unmeasured` those that cannot be chosen without a cost.
    `accuracies` are those of the sweep, computed from the candidates when not given. `device` is
    the name of the one that costs were measured on, if it is not that of the profiles, and
    `exports` says what the exported networks are worth; both are only recorded. Candidates outside
    of the `selection` are excluded as by a budget. `looks` says which part of the error the tests
    may spend, and what the sweep ran in rounds.
    """
    # In one order, whichever they come in: simulations and sums depend on it.
    candidates = sorted(candidates, key=lambda candidate: candidate.order)
    measured = [one for one in candidates if one.unmeasured is None]
    within_budgets, excluded = apply_budgets(measured, rules, classes, selection)
    allowed = cheapest_ways(within_budgets)
    if accuracies is None:
        val, test = (_by_cell(candidates, split) for split in ("val", "test"))
        accuracies = compute_accuracies(val, test, rules.confidence)
    baseline = _compare_with_majority(candidates, allowed, accuracies)
    record: ChoiceRecord = {
        "rules": rules.model_dump(mode="json"),
        "selection": {name: list(names) for name, names in asdict(selection).items()},
        "device": device,
        **looks.record,
        "exports": list(exports),
        "unmeasured": _unmeasured(candidates),
        "excluded": excluded,
        "baseline": baseline,
        "provisional": _slow_and_disturbed(measured, rules, selection),
    }
    # Of cells that learned nothing, none is worth more than another.
    if baseline is None or not baseline["allowed_above"]:
        return record | _no_choice(candidates, baseline, accuracies)
    ranking = rank_candidates(
        allowed, rules.margin, rules.confidence, rules.accept_confounds, looks.error_share
    )
    comparisons = ranking.comparisons()
    record["provisional"] += _disturbed_rivals(ranking, comparisons)
    record["control"] = control_record(candidates, rules.confidence)
    return record | _decision(ranking, comparisons, accuracies, record)


def _decision(
    ranking: Ranking,
    comparisons: Sequence[Comparison],
    accuracies: Accuracies,
    record: ChoiceRecord,
) -> ChoiceRecord:
    """Return the fields of the record that follow from the comparisons."""
    rules, excluded = record["rules"], record["excluded"]
    status = answer_status(ranking, comparisons)
    certified = ranking.certificate.certified
    standing = ranking.best if certified is None else certified
    frugal = _frugal(ranking, comparisons)
    choice = frugal if rules["attitude"] == "frugal" else standing
    runner_up = _runner_up(ranking, choice)
    summaries = [_summary(one, accuracies) for one in ranking.candidates]
    return {
        "status": status,
        "best": summaries[ranking.best],
        "choice": summaries[choice],
        "certified": None if certified is None else summaries[certified],
        "frugal": summaries[frugal] | {"at_most": _at_most(ranking, frugal)},
        "runner_up": None if runner_up is None else summaries[runner_up],
        "regret": _regret(ranking, choice, rules["confidence"]),
        "tested_on": ranking.certificate.split,
        "comparisons": [_comparison_record(one) for one in comparisons],
        "confounds": confound_records(
            ranking.confounds, [(one.identity, one.facts) for one in ranking.candidates]
        ),
        "minimum_detectable_difference": _detectable_difference(ranking),
        "needed": _needed(ranking, comparisons),
        "neighbours": neighbour_records(ranking, comparisons, choice, excluded),
    }


def _compare_with_majority(
    candidates: Sequence[Candidate], allowed: Sequence[Candidate], accuracies: Accuracies
) -> ChoiceRecord | None:
    """Count the cells shown to beat the majority class on test images, and those allowed.

    A cell counts as it was trained, where it was. None without a cell.
    """
    if not candidates:
        return None
    above = {one.evaluated for one in candidates if beats_majority(one, accuracies)}
    cells, test = {one.cell for one in candidates}, candidates[0].test
    return {
        "majority_accuracy": test.majority_accuracy,
        "n_test": len(test.labels),
        "cells": len(cells),
        "cells_above": len({cell for cell, _, _ in above}),
        "allowed": len(allowed),
        "allowed_above": sum(one.evaluated in above for one in allowed),
    }


def beats_majority(candidate: Candidate, accuracies: Accuracies) -> bool:
    """Return whether a network is shown to beat the majority class on test images."""
    as_trained = accuracies.test[candidate.cell, RAW, candidate.cell.resolution]
    # An adapted network of many may beat the majority class by luck, so its cell has to.
    lowest = min(as_trained.low, accuracies.test[candidate.evaluated].low)
    return lowest > candidate.test.majority_accuracy


def _by_cell(candidates: Sequence[Candidate], split: str) -> dict[Cell, Predictions]:
    """Return the predictions of the cells of candidates on a split, `val` or `test`."""
    return {one.cell: one.val if split == "val" else one.test for one in candidates}


def _no_choice(
    candidates: Sequence[Candidate], baseline: ChoiceRecord | None, accuracies: Accuracies
) -> ChoiceRecord:
    """Return a record without a choice; `best` is known where nothing was learned."""
    names = (
        "best",
        "choice",
        "certified",
        "frugal",
        "runner_up",
        "regret",
        "needed",
        "control",
    )
    record = dict.fromkeys(names) | {
        "status": "none",
        "tested_on": None,
        "comparisons": [],
        "confounds": [],
        "neighbours": [],
        "minimum_detectable_difference": None,
    }
    if baseline is None or baseline["cells_above"]:
        return record
    summary = _summary(max(candidates, key=lambda one: one.rank), accuracies)
    # Nothing is chosen, so nothing rests on a latency.
    return record | {"status": "nothing learned", "best": summary, "provisional": []}


def _unmeasured(candidates: Sequence[Candidate]) -> Exclusions:
    """Return the candidates that cannot be chosen without a cost, and why they have none."""
    return [{**one.identity, "reason": one.unmeasured} for one in candidates if one.unmeasured]


def _slow_and_disturbed(
    candidates: Sequence[Candidate], rules: Report, selection: Selection
) -> Exclusions:
    """Return the cells that an invalid latency excludes, of those that are selected."""
    error = shared_error(candidates, rules.confidence)
    return [
        candidate.identity
        for candidate in filter(selection.has, candidates)
        if candidate.is_disturbed and exceeds_latency(candidate, rules, error)
    ]


def _disturbed_rivals(ranking: Ranking, comparisons: Sequence[Comparison]) -> Exclusions:
    """Return the cells with an invalid latency that could be chosen, the best among them."""
    # A cell shown to be worse is not chosen, whatever it costs.
    rivals = [one.candidate for one in comparisons if one.verdict != "worse"]
    return [
        candidate.identity
        for candidate in (ranking.candidates[ranking.best], *rivals)
        if candidate.is_disturbed
    ]


def answer_status(ranking: Ranking, comparisons: Sequence[Comparison]) -> str:
    """Return what the certificate and the comparisons show."""
    certified = ranking.certificate.certified
    if certified is not None and certified != ranking.best:
        return "chosen"
    if all(one.verdict == "worse" for one in comparisons if one.cheaper):
        return "best"
    return "undecided" if certified is None else "chosen"


def _frugal(ranking: Ranking, comparisons: Sequence[Comparison]) -> int:
    """Return the cheapest candidate that is not shown to be worse than the best."""
    worse = {id(one.candidate) for one in comparisons if one.verdict == "worse"}
    possible = [cell for cell, one in enumerate(ranking.candidates) if id(one) not in worse]
    # Only what is shown to cost less than the best is cheaper; of those the smallest median,
    # which several networks of one size share.
    cheaper = [cell for cell in possible if ranking.cheaper[cell, ranking.best]]
    candidates = ranking.candidates
    return max(
        cheaper,
        key=lambda cell: (-candidates[cell].cost, candidates[cell].rank),
        default=ranking.best,
    )


def _runner_up(ranking: Ranking, choice: int) -> int | None:
    """Return the cell certified before the choice, else the next most accurate one."""
    earlier = [cell for cell in ranking.certificate.successes if cell != choice]
    if earlier and choice == ranking.certificate.certified:
        return earlier[-1]
    others = [cell for cell in range(len(ranking.candidates)) if cell != choice]
    return max(others, key=lambda cell: ranking.candidates[cell].rank, default=None)


def _summary(candidate: Candidate, accuracies: Accuracies) -> ChoiceRecord:
    """Return accuracy, with intervals, and latency of a candidate."""
    return {
        **candidate.identity,
        "n_seeds": len(candidate.val.seeds),
        "failed_seeds": candidate.failed_seeds,
        "val_accuracy": asdict(accuracies.val[candidate.evaluated]),
        "test_accuracy": asdict(accuracies.test[candidate.evaluated]),
        **_latency_record(candidate),
    }


def _latency_record(candidate: Candidate) -> dict[str, Any]:
    """Return the latency columns of a candidate, None when not measured."""
    latency = candidate.latency
    if latency is None:
        return dict.fromkeys(("latency_ms_p50", "latency_ms_p90", "latency_valid"))
    return {
        "latency_ms_p50": latency.p50,
        "latency_ms_p90": latency.p90,
        "latency_valid": latency.valid,
    }


def _comparison_record(comparison: Comparison) -> ChoiceRecord:
    """Return a comparison as plain values."""
    candidate = comparison.candidate
    return {
        **candidate.identity,
        "difference": asdict(comparison.difference),
        "shown_within": comparison.shown_within,
        "verdict": comparison.verdict,
        "cheaper": comparison.cheaper,
        "confounds": list(comparison.confounds),
        "latency_ms_p50": _latency_record(candidate)["latency_ms_p50"],
    }


def _regret(ranking: Ranking, choice: int, confidence: float) -> ChoiceRecord:
    """Return the test accuracy given up to the best, and the largest deficit possible."""
    if choice == ranking.best:
        zeros = dict.fromkeys(("mean", "low", "high"), 0.0)
        record: ChoiceRecord = {**zeros, "method": "the choice is the best cell"}
    else:
        record = asdict(ranking.test.interval(ranking.best, choice, confidence))
    return record | {"at_most": _at_most(ranking, choice)}


def _at_most(ranking: Ranking, cell: int) -> float:
    """Return the largest deficit of a cell to any other that the data leave possible."""
    return float(ranking.certificate.shown_within[cell])


def _detectable_difference(ranking: Ranking) -> float | None:
    """Return the difference to the best that a typical test detects; None without a rival."""
    others = [cell for cell in range(len(ranking.candidates)) if cell != ranking.best]
    # Each comparison has its own error, since cells agree to different degrees.
    differences = [
        ranking.test.detectable(cell, ranking.best, ranking.error, POWER) for cell in others
    ]
    return float(np.median(differences)) if differences else None


def _needed(ranking: Ranking, comparisons: Sequence[Comparison]) -> ChoiceRecord | None:
    """Return what would decide, with the most accurate open cell that costs less."""
    undecided = [one for one in comparisons if one.verdict == "open" and one.cheaper]
    # A certified cell that costs less than the best is an answer.
    if not undecided or ranking.certificate.passed > 1:
        return None
    closest = max(undecided, key=lambda one: one.candidate.rank)
    confounds = ranking.confounds.unaccepted
    # No more seeds or images of such runs would certify a cell.
    advice = Advice(None, None) if confounds else advise(ranking)
    return {
        **closest.candidate.identity,
        "difference": asdict(closest.difference),
        "n_seeds": int(ranking.val.seeds.min()),
        "more_seeds": advice.more_seeds,
        "more_images": advice.more_images,
        "confounds": list(confounds),
        "power": SETTLED,
    }
