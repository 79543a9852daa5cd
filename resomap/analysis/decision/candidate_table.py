"""Rows of candidates.csv: everything that can be chosen, and what was decided about it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from resomap.analysis.accuracies import Accuracies
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.profiles import Row

IDENTITY = ("family", "model", "resolution", "eval_resolution", "mode", "variant")
"""Columns that identify a candidate in a record and in the table."""
COST_COLUMNS = ("peak_memory_mib", "model_size_mib", "energy_j_per_image", "macs")
ChoiceRecord = dict[str, Any]
Verdicts = dict[tuple[Any, ...], Row]


def candidate_rows(
    candidates: Sequence[Candidate], choice: ChoiceRecord, accuracies: Accuracies
) -> Iterator[Row]:
    """Yield a row per candidate: accuracy, cost, and its verdict in the record of the choice."""
    verdicts = _verdicts(choice)
    for one in sorted(candidates, key=lambda candidate: candidate.order):
        val, test = accuracies.val[one.evaluated], accuracies.test[one.evaluated]
        yield {
            **one.identity,
            "n_seeds": len(one.val.seeds),
            "n_val": len(one.val.labels),
            **val.columns("val_accuracy"),
            "n": len(one.test.labels),
            **test.columns("accuracy"),
            "interval": test.method,
            **_costs(one),
            **verdicts.get(_key(one.identity), _unranked(choice)),
        }


def _costs(candidate: Candidate) -> Row:
    """Return the columns of the cost; those that were not measured are missing."""
    costs: Row = {name: candidate.costs.get(name) for name in COST_COLUMNS}
    if candidate.latency:
        costs["latency_ms_p50"] = candidate.latency.p50
        costs["latency_ms_p90"] = candidate.latency.p90
        costs["latency_valid"] = candidate.latency.valid
    return costs


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in IDENTITY)


def _verdicts(choice: ChoiceRecord) -> Verdicts:
    """Return the columns of the verdict by candidate, for all that the record names."""
    verdicts: Verdicts = {}
    for verdict in ("unmeasured", "excluded"):
        for one in choice[verdict]:
            verdicts[_key(one)] = {"verdict": verdict, "reason": one["reason"]}
    for one in choice["comparisons"]:
        difference = {
            f"difference{suffix}": one["difference"][end]
            for suffix, end in (("", "mean"), ("_low", "low"), ("_high", "high"))
        }
        row = {"verdict": one["verdict"], "at_most": one["shown_within"], **difference}
        verdicts[_key(one)] = row
    for verdict, name in (("best", "best"), ("chosen", "choice")):
        if choice[name]:
            of_one = verdicts.setdefault(_key(choice[name]), {})
            of_one["verdict"] = verdict
    if choice["choice"] and choice["status"] == "undecided":
        verdicts[_key(choice["choice"])]["verdict"] = "taken"
    return verdicts


def _unranked(choice: ChoiceRecord) -> Row:
    """Return the verdict of a candidate that the record does not name."""
    # Nothing is ranked where nothing was learned; else each network is ranked in its fastest way.
    return {"verdict": "slower" if choice["choice"] else "not learned"}
