"""The choice: the cheapest cell shown to be as good as the best, selected on validation pictures, reported on test pictures."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from resomap.analysis import power, verdict
from resomap.analysis.compare import (
    Candidate,
    Comparison,
    Contest,
    difference,
    hold_contest,
    matched,
    pool_differences,
)
from resomap.analysis.statistics import (
    Pool,
    accuracy_interval,
    compute_spread,
    difference_interval,
    pool_spreads,
)
from resomap.config import schema

Record = dict[str, Any]


def choose(candidates: Sequence[Candidate], rules: schema.Report) -> Record:
    """Choose among the candidates that keep the budgets, and say why, as plain values for choice.json.

    `status` is `chosen` (a cheaper cell is shown within the margin of the best), `best` (every cheaper one is shown worse), `undecided`
    (some are neither; the best stands in) or `none`.
    """
    refusals = [(candidate, _refusal(candidate, rules)) for candidate in candidates]
    kept = [candidate for candidate, reason in refusals if reason is None]
    record: Record = {
        "rules": rules.model_dump(),
        "excluded": [
            {**candidate.cell._asdict(), "reason": reason}
            for candidate, reason in refusals
            if reason is not None
        ],
    }
    if not kept:
        return verdict.explain(
            record
            | {
                "status": "none",
                "best": None,
                "choice": None,
                "runner_up": None,
                "comparisons": [],
            }
        )
    contest = hold_contest(kept, rules.margin, rules.confidence)
    status, choice = _decide(contest)
    summaries = {
        candidate.cell: summary
        for candidate, summary in zip(kept, _summaries(kept, rules.confidence), strict=True)
    }
    runner_up = _runner_up(contest, choice)
    record |= {
        "status": status,
        "best": summaries[contest.best.cell],
        "choice": summaries[choice.cell],
        "runner_up": summaries[runner_up.cell] if runner_up else None,
        "regret": _regret(
            contest,
            choice,
            pool_differences([candidate.test for candidate in kept]),
            rules.confidence,
        ),
        "comparisons": [_comparison(one) for one in contest.comparisons],
        "minimum_detectable_difference": _detectable(contest),
        "needed": _needed(contest, choice),
    }
    return verdict.explain(record)


def _refusal(candidate: Candidate, rules: schema.Report) -> str | None:
    if rules.min_accuracy is not None and candidate.val_accuracy < rules.min_accuracy:
        return (
            f"validation accuracy {candidate.val_accuracy:.3f} is below {rules.min_accuracy:g}"
        )
    if rules.max_latency_ms is None:
        return None
    if candidate.cost is None:
        return "its latency was not measured"
    if candidate.cost.p90 > rules.max_latency_ms:
        return f"p90 latency {candidate.cost.p90:.3g} ms is above {rules.max_latency_ms:g} ms"
    return None


def _decide(contest: Contest) -> tuple[str, Candidate]:
    cheaper = [one for one in contest.comparisons if one.cheaper]
    within = [one.candidate for one in cheaper if one.verdict == "within"]
    if within:
        return "chosen", min(within, key=lambda candidate: candidate.price)
    return (
        "undecided" if any(one.verdict == "open" for one in cheaper) else "best"
    ), contest.best


def _runner_up(contest: Contest, choice: Candidate) -> Candidate | None:
    """The next cheapest cell shown within the margin, else the next most accurate one."""
    left = [one for one in contest.comparisons if one.candidate is not choice]
    within = [one.candidate for one in left if one.verdict == "within" and one.cheaper]
    if within:
        return min(within, key=lambda candidate: candidate.price)
    rest = [one.candidate for one in left] + (
        [contest.best] if contest.best is not choice else []
    )
    return max(rest, key=lambda candidate: candidate.rank, default=None)


def _summaries(candidates: Sequence[Candidate], confidence: float) -> list[Record]:
    val_pool = pool_spreads([compute_spread(candidate.val.own) for candidate in candidates])
    test_pool = pool_spreads([compute_spread(candidate.test.own) for candidate in candidates])
    return [
        {
            **candidate.cell._asdict(),
            "n_seeds": len(candidate.val.seeds),
            "val_accuracy": asdict(accuracy_interval(candidate.val.own, confidence, val_pool)),
            "test_accuracy": asdict(
                accuracy_interval(candidate.test.own, confidence, test_pool)
            ),
            "latency_ms_p50": candidate.cost.p50 if candidate.cost else None,
            "latency_ms_p90": candidate.cost.p90 if candidate.cost else None,
            "latency_valid": candidate.cost.valid if candidate.cost else None,
        }
        for candidate in candidates
    ]


def _comparison(one: Comparison) -> Record:
    return {
        **one.candidate.cell._asdict(),
        "difference": asdict(one.difference),
        "shown_within": one.shown_within,
        "verdict": one.verdict,
        "cheaper": one.cheaper,
        "latency_ms_p50": one.candidate.cost.p50 if one.candidate.cost else None,
    }


def _regret(
    contest: Contest, choice: Candidate, test_pool: Pool | None, confidence: float
) -> Record:
    """Test accuracy given up against the best, and `at_most`, the largest deficit that validation leaves possible."""
    if choice is contest.best:
        at_most = max([one.difference.high for one in contest.comparisons] + [0.0])
        return {
            "mean": 0.0,
            "low": 0.0,
            "high": 0.0,
            "method": "the choice is the best cell",
            "at_most": at_most,
        }
    given_up = difference_interval(
        *matched(contest.best.test, choice.test), confidence, test_pool
    )
    return asdict(given_up) | {
        "at_most": next(
            one.shown_within for one in contest.comparisons if one.candidate is choice
        )
    }


def _detectable(contest: Contest) -> float | None:
    """The difference that a typical comparison with the best would find; None without a rival."""
    plans = [
        power.plan(
            compute_spread(difference(one.candidate.val, contest.best.val)), contest.pool
        )
        for one in contest.comparisons
    ]
    return (
        float(
            np.median(
                [plan.detectable(plan.seeds, plan.pictures, contest.error) for plan in plans]
            )
        )
        if plans
        else None
    )


def _needed(contest: Contest, choice: Candidate) -> Record | None:
    """What would settle the most promising open cell that costs less than the choice; None when none is open."""
    undecided = [
        one
        for one in contest.comparisons
        if one.verdict == "open" and one.candidate.price < choice.price < np.inf
    ]
    if not undecided:
        return None
    closest = max(undecided, key=lambda one: one.candidate.rank)
    plan = power.plan(
        compute_spread(difference(closest.candidate.val, contest.best.val)), contest.pool
    )
    effect = abs(closest.difference.mean + contest.margin)
    seeds, pictures = (
        plan.seeds_needed(effect, contest.error),
        plan.pictures_needed(effect, contest.error),
    )
    return {
        **closest.candidate.cell._asdict(),
        "difference": asdict(closest.difference),
        "n_seeds": plan.seeds,
        "more_seeds": seeds - plan.seeds if seeds else None,
        "more_pictures": pictures - plan.pictures if pictures else None,
        "power": power.POWER,
    }
