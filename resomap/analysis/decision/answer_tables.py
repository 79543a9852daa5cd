"""answer.json: what the rule of `choose` needs, so that the page decides anew without the images.

Bounds of budgets share their error over all candidates of the sweep, and costs are compared pair
by pair, so both are computed here. Differences of accuracy are written for all pairs of networks:
which of them count, and what seeds add to their variance, follows in the page from the candidates
that keep the budgets.
"""

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from resomap.analysis.accuracies import Accuracies, Evaluated
from resomap.analysis.decision.budgets import (
    BudgetCheck,
    bounded_accuracy,
    bounded_balance,
    bounded_cost,
    bounded_latency,
    prepare_checks,
    recall_reasons,
)
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.choice import ChoiceRecord, beats_majority
from resomap.analysis.decision.comparison import cheaper_candidates, contrast_candidates
from resomap.analysis.decision.confounds import confound_classes
from resomap.analysis.decision.contrasts import Contrasts
from resomap.analysis.decision.selection import variant_of
from resomap.config.report import COST_BUDGETS, Report

AnswerTables = dict[str, Any]


def answer_tables(
    candidates: Sequence[Candidate],
    rules: Report,
    classes: Sequence[str],
    accuracies: Accuracies,
    choice: ChoiceRecord,
) -> AnswerTables:
    """Return what recomputes the choice for other budgets, as plain values for answer.json.

    `choice` is the record of `choose` for the same arguments. Networks in int8 are in neither.
    """
    candidates = sorted(candidates, key=lambda one: one.order)
    first: dict[Evaluated, Candidate] = {}
    for one in candidates:
        first.setdefault(one.evaluated, one)
    networks = list(first.values())
    numbers = {evaluated: number for number, evaluated in enumerate(first)}
    check = prepare_checks(candidates, rules, classes)
    ranks = _rank_numbers(candidates)
    cheaper = cheaper_candidates(candidates, rules.confidence)
    return {
        "rules": choice["rules"],
        "cost_budgets": [{"key": key, **asdict(cost)} for key, cost in COST_BUDGETS.items()],
        "baseline": choice["baseline"],
        "needed": choice["needed"],
        "error_share": choice["error_share"],
        "images": _count_images(networks),
        "networks": [_network(one, check, accuracies) for one in networks],
        "candidates": [
            {"network": numbers[one.evaluated], "rank": rank, **_costs(one, check)}
            for one, rank in zip(candidates, ranks, strict=True)
        ],
        "cheaper": pack_bits(cheaper),
        "confounds": confound_classes([one.facts for one in candidates]),
        "contrasts": {split: _contrasts(networks, split) for split in ("val", "test")},
    }


def _rank_numbers(candidates: Sequence[Candidate]) -> list[int]:
    """Return a number per candidate that sorts them as their rank does."""
    order = {rank: number for number, rank in enumerate(sorted({o.rank for o in candidates}))}
    return [order[one.rank] for one in candidates]


def _count_images(networks: Sequence[Candidate]) -> dict[str, int]:
    """Return the number of images of each split; empty without a network."""
    return {
        split: getattr(one, f"{split}_correct").shape[1]
        for one in networks[:1]
        for split in ("val", "test")
    }


def _network(
    candidate: Candidate, check: BudgetCheck, accuracies: Accuracies
) -> dict[str, Any]:
    """Return what all ways of running a network share."""
    identity = {name: value for name, value in candidate.identity.items() if name != "variant"}
    return {
        **identity,
        "as_trained": candidate.is_as_trained,
        "seeds": list(candidate.val.seeds),
        "failed_seeds": candidate.failed_seeds,
        "val_accuracy": asdict(accuracies.val[candidate.evaluated]),
        "test_accuracy": asdict(accuracies.test[candidate.evaluated]),
        "accuracy": _known(bounded_accuracy(candidate, check)),
        "balanced_accuracy": _known(bounded_balance(candidate, check)),
        "recall": next(recall_reasons(candidate, check), None),
        "beats_majority": beats_majority(candidate, accuracies),
        "alarm": candidate.alarm,
        "localisation": candidate.localisation,
    }


def _costs(candidate: Candidate, check: BudgetCheck) -> dict[str, Any]:
    """Return what one way of running a network costs: measured values, and their bounds."""
    latency = candidate.latency
    record: dict[str, Any] = {
        "variant": candidate.variant,
        "selected_by": variant_of(candidate),
        "latency_ms_p50": latency and latency.p50,
        "latency_ms_p90": latency and _known(bounded_latency(latency, check)),
        "latency_valid": latency and latency.valid,
    }
    for cost in COST_BUDGETS.values():
        bounded = bounded_cost(candidate, cost.column, check)
        record[cost.column] = bounded and _known(bounded)
    return record


def _known(values: Iterable[float]) -> list[float | None]:
    """Return numbers for JSON, None in place of those that are unknown."""
    return [float(value) if math.isfinite(value) else None for value in values]


def _contrasts(networks: Sequence[Candidate], split: str) -> dict[str, Any]:
    """Return the means of the networks, and the variances of the differences of all pairs."""
    if not networks:
        return {}
    contrasts: Contrasts = contrast_candidates(networks, split)
    return {
        "means": contrasts.means.tolist(),
        # To the first power, from which the page computes all others.
        "unit_variance": contrasts.scale[:, 0].tolist(),
        "image_variance": pack_triangle(contrasts.image_variance),
        "between": pack_triangle(contrasts.of_seeds.between),
        "alone": pack_triangle(contrasts.of_seeds.alone),
    }


def pack_triangle(matrix: np.ndarray) -> str:
    """Return a symmetric matrix as base64 of its rows above the diagonal, in float64."""
    rows, columns = np.triu_indices(len(matrix), k=1)
    return base64.b64encode(matrix[rows, columns].astype("<f8").tobytes()).decode()


def pack_bits(matrix: np.ndarray) -> str:
    """Return a boolean matrix as base64 of its rows, eight values a byte, the first one lowest."""
    return base64.b64encode(np.packbits(matrix, bitorder="little").tobytes()).decode()
