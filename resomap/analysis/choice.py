"""The choice: the cheapest cell shown to be as accurate as the best.

The record of the choice is written to choice.json. `report/text/choice.py` puts it into words.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from resomap.analysis.comparison import (
    Candidate,
    Comparison,
    Ranking,
    difference_by_image,
    matching_predictions,
    pool_differences,
    rank_candidates,
)
from resomap.analysis.power import POWER, PowerPlan, plan_power
from resomap.analysis.predictions import Predictions
from resomap.analysis.statistics import (
    Pool,
    accuracy_interval,
    compute_spread,
    difference_interval,
    pool_seed_variance,
)
from resomap.config import schema

ChoiceRecord = dict[str, Any]


def choose(candidates: Sequence[Candidate], rules: schema.Report) -> ChoiceRecord:
    """Choose among the candidates within the budgets; returns plain values for choice.json.

    `status` is `chosen` (a cheaper cell is shown to be within the margin of the best), `best`
    (every cheaper one is shown to be worse), `undecided` (some are neither; the best stands in),
    `nothing learned` (no cell is shown to beat the majority class) or `none` (no such cell is
    within the budgets). `provisional` lists the cells whose invalid latency the choice rests on.
    """
    allowed, excluded = _apply_budgets(candidates, rules)
    baseline = _compare_with_majority(candidates, allowed, rules.confidence)
    record: ChoiceRecord = {
        "rules": rules.model_dump(),
        "excluded": excluded,
        "baseline": baseline,
        "provisional": _slow_and_disturbed(candidates, rules),
    }
    # Of cells that learned nothing, none is worth more than another.
    if baseline is None or not baseline["allowed_above"]:
        return record | _no_choice(candidates, baseline, rules)
    ranking = rank_candidates(allowed, rules.margin, rules.confidence)
    status, choice = _decide(ranking)
    record["provisional"] += _disturbed_rivals(ranking)
    runner_up = _runner_up(ranking, choice)
    summaries = _summaries(allowed, rules.confidence)
    # Test images are read for the record only; validation images decided all above.
    test_pool = pool_differences([candidate.test for candidate in allowed])
    return record | {
        "status": status,
        "best": summaries[ranking.best.cell],
        "choice": summaries[choice.cell],
        "runner_up": summaries[runner_up.cell] if runner_up else None,
        "regret": _regret(ranking, choice, test_pool, rules.confidence),
        "comparisons": [_comparison_record(one) for one in ranking.comparisons],
        "minimum_detectable_difference": _detectable_difference(ranking),
        "needed": _needed(ranking, choice),
    }


def _compare_with_majority(
    candidates: Sequence[Candidate], allowed: Sequence[Candidate], confidence: float
) -> ChoiceRecord | None:
    """Count the cells shown to beat the majority class on test images, and those allowed.

    None without a cell.
    """
    if not candidates:
        return None
    # Pooled over all candidates, as in cells.csv: the headline must agree with its intervals.
    pool = _pool_accuracies([candidate.test for candidate in candidates])
    above = set()
    for candidate in candidates:
        correct, majority = candidate.test.correct_as_trained, candidate.test.majority_accuracy
        if accuracy_interval(correct, confidence, pool).low > majority:
            above.add(candidate.cell)
    test = candidates[0].test
    return {
        "majority_accuracy": test.majority_accuracy,
        "n_test": len(test.labels),
        "cells": len(candidates),
        "cells_above": len(above),
        "allowed": len(allowed),
        "allowed_above": sum(candidate.cell in above for candidate in allowed),
    }


def _no_choice(
    candidates: Sequence[Candidate], baseline: ChoiceRecord | None, rules: schema.Report
) -> ChoiceRecord:
    """Return a record without a choice; `best` is known where nothing was learned."""
    empty = dict.fromkeys(("best", "choice", "runner_up", "regret", "needed"))
    record = empty | {
        "status": "none",
        "comparisons": [],
        "minimum_detectable_difference": None,
    }
    if baseline is None or baseline["cells_above"]:
        return record
    best = max(candidates, key=lambda candidate: candidate.rank)
    summary = _summaries(candidates, rules.confidence)[best.cell]
    # Nothing is chosen, so nothing rests on a latency.
    return record | {"status": "nothing learned", "best": summary, "provisional": []}


def _slow_and_disturbed(
    candidates: Sequence[Candidate], rules: schema.Report
) -> list[ChoiceRecord]:
    """Return the cells that an invalid latency excludes."""
    return [
        candidate.cell._asdict()
        for candidate in candidates
        if candidate.is_disturbed and _is_too_slow(candidate, rules)
    ]


def _is_too_slow(candidate: Candidate, rules: schema.Report) -> bool:
    """Return whether the measured latency of a candidate exceeds the budget."""
    if rules.max_latency_ms is None or candidate.latency is None:
        return False
    # The 90th percentile: half of the images may exceed a budget that the median keeps.
    return candidate.latency.p90 > rules.max_latency_ms


def _disturbed_rivals(ranking: Ranking) -> list[ChoiceRecord]:
    """Return the cells with an invalid latency that could be chosen, the best among them."""
    # A cell shown to be worse is not chosen, whatever it costs.
    rivals = [one.candidate for one in ranking.comparisons if one.verdict != "worse"]
    return [
        candidate.cell._asdict()
        for candidate in (ranking.best, *rivals)
        if candidate.is_disturbed
    ]


def _apply_budgets(
    candidates: Sequence[Candidate], rules: schema.Report
) -> tuple[list[Candidate], list[dict[str, Any]]]:
    """Split the candidates into those within the budgets and records of the others."""
    allowed, excluded = [], []
    for candidate in candidates:
        reason = _exclusion_reason(candidate, rules)
        if reason is None:
            allowed.append(candidate)
        else:
            excluded.append({**candidate.cell._asdict(), "reason": reason})
    return allowed, excluded


def _exclusion_reason(candidate: Candidate, rules: schema.Report) -> str | None:
    """Return which budget a candidate exceeds; None when it keeps both."""
    accuracy = candidate.val_accuracy
    if rules.min_accuracy is not None and accuracy < rules.min_accuracy:
        return f"validation accuracy {accuracy:.3f} is below {rules.min_accuracy:g}"
    if rules.max_latency_ms is None:
        return None
    if candidate.latency is None:
        return "its latency was not measured"
    if _is_too_slow(candidate, rules):
        limit = f"{rules.max_latency_ms:g} ms"
        return f"p90 latency {candidate.latency.p90:.3g} ms is above {limit}"
    return None


def _decide(ranking: Ranking) -> tuple[str, Candidate]:
    """Return the status and the chosen candidate."""
    within = _cheaper_candidates(ranking, "within")
    if within:
        return "chosen", min(within, key=lambda candidate: candidate.cost)
    # Without a cheaper cell within the margin the best stands in, decided or not.
    is_open = bool(_cheaper_candidates(ranking, "open"))
    return "undecided" if is_open else "best", ranking.best


def _cheaper_candidates(ranking: Ranking, verdict: str) -> list[Candidate]:
    """Return the candidates that cost less than the best and have the verdict."""
    return [
        one.candidate for one in ranking.comparisons if one.cheaper and one.verdict == verdict
    ]


def _runner_up(ranking: Ranking, choice: Candidate) -> Candidate | None:
    """Return the next cheapest cell within the margin, else the next most accurate one."""
    within = [one for one in _cheaper_candidates(ranking, "within") if one is not choice]
    if within:
        return min(within, key=lambda candidate: candidate.cost)
    candidates = [*(one.candidate for one in ranking.comparisons), ranking.best]
    others = [candidate for candidate in candidates if candidate is not choice]
    return max(others, key=lambda candidate: candidate.rank, default=None)


def _summaries(candidates: Sequence[Candidate], confidence: float) -> dict[Any, ChoiceRecord]:
    """Return accuracy, with intervals, and latency of every candidate by its cell."""
    val_pool = _pool_accuracies([candidate.val for candidate in candidates])
    test_pool = _pool_accuracies([candidate.test for candidate in candidates])
    summaries = {}
    for one in candidates:
        val = accuracy_interval(one.val.correct_as_trained, confidence, val_pool)
        test = accuracy_interval(one.test.correct_as_trained, confidence, test_pool)
        summaries[one.cell] = {
            **one.cell._asdict(),
            "n_seeds": len(one.val.seeds),
            "val_accuracy": asdict(val),
            "test_accuracy": asdict(test),
            **_latency_record(one),
        }
    return summaries


def _pool_accuracies(predictions: Sequence[Predictions]) -> Pool | None:
    """Pool the seed variance of the accuracies of cells."""
    return pool_seed_variance(one.correct_as_trained for one in predictions)


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
        **candidate.cell._asdict(),
        "difference": asdict(comparison.difference),
        "shown_within": comparison.shown_within,
        "verdict": comparison.verdict,
        "cheaper": comparison.cheaper,
        "latency_ms_p50": _latency_record(candidate)["latency_ms_p50"],
    }


def _regret(
    ranking: Ranking, choice: Candidate, test_pool: Pool | None, confidence: float
) -> ChoiceRecord:
    """Return the test accuracy given up, and the largest deficit that validation allows."""
    if choice is ranking.best:
        # The best on validation may still be beaten: its deficit is what the intervals allow.
        deficits = [one.difference.high for one in ranking.comparisons]
        zeros = dict.fromkeys(("mean", "low", "high"), 0.0)
        method = "the choice is the best cell"
        return {**zeros, "method": method, "at_most": max([*deficits, 0.0])}
    pair = matching_predictions(ranking.best.test, choice.test)
    given_up = difference_interval(*pair, confidence, test_pool)
    record = asdict(given_up)
    for comparison in ranking.comparisons:
        if comparison.candidate is choice:
            record["at_most"] = comparison.shown_within
    return record


def _detectable_difference(ranking: Ranking) -> float | None:
    """Return the difference that a typical comparison detects; None without a rival."""
    # Each comparison has its own spread, since cells agree to different degrees.
    differences = []
    for comparison in ranking.comparisons:
        plan = _power_plan(comparison.candidate, ranking)
        differences.append(plan.detectable(plan.seeds, plan.images, ranking.error))
    return float(np.median(differences)) if differences else None


def _power_plan(candidate: Candidate, ranking: Ranking) -> PowerPlan:
    """Plan the comparison of a candidate with the best."""
    difference = difference_by_image(candidate.val, ranking.best.val)
    return plan_power(compute_spread(difference), ranking.pool)


def _needed(ranking: Ranking, choice: Candidate) -> ChoiceRecord | None:
    """Return what would decide the most accurate open cell that costs less than the choice."""
    undecided = [
        one
        for one in ranking.comparisons
        if one.verdict == "open" and one.candidate.is_cheaper_than(choice)
    ]
    if not undecided:
        return None
    closest = max(undecided, key=lambda one: one.candidate.rank)
    plan = _power_plan(closest.candidate, ranking)
    # To be within the margin, the difference must lie above -margin: the effect to detect.
    effect = abs(closest.difference.mean + ranking.margin)
    seeds = plan.seeds_needed(effect, ranking.error)
    images = plan.images_needed(effect, ranking.error)
    return {
        **closest.candidate.cell._asdict(),
        "difference": asdict(closest.difference),
        "n_seeds": plan.seeds,
        "more_seeds": seeds and seeds - plan.seeds,
        "more_images": images and images - plan.images,
        "power": POWER,
    }
