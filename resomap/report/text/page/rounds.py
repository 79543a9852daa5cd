"""The rounds of a sweep in words: what was trained, what was found, and why they ended."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from resomap.report.text.format import candidate_name, join_names
from resomap.text import format_count, format_duration, format_percent

ENDS = {
    "settled": "the answer is settled",
    "hopeless": "more seeds would probably not settle it",
    "seeds": "every seed that matters is used",
    "budget": "the next round would take longer than --budget-hours",
}
STATUSES = {
    "chosen": "certified",
    "best": "settled, since nothing cheaper may be as accurate",
    "undecided": "undecided",
    "nothing learned": "no network beats the majority class",
    "none": "no cell keeps the budgets",
}


def describe_round(rounds: Sequence[Mapping[str, Any]], most: int) -> Iterator[str]:
    """Yield what the last of these rounds trains."""
    runs = rounds[-1]["runs"]
    yield (
        f"Round {len(rounds)} of at most {most}: {format_count(len(runs), 'training')}: "
        f"{_name_cells((model, px) for _, model, px, _ in runs)}"
    )


def _name_cells(cells: Iterable[tuple[str, int]]) -> str:
    """Return each model with its resolutions: tiny_cnn at 24 and 48 px."""
    by_model = defaultdict[str, set[int]](set)
    for model, resolution in cells:
        by_model[model].add(resolution)
    return "; ".join(
        f"{model} at {join_names([str(size) for size in sorted(sizes)])} px"
        for model, sizes in by_model.items()
    )


def describe_outcome(rounds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the look after the last of these rounds found."""
    yield f"Round {len(rounds)}: {_found(rounds[-1])}"


def _found(one: Mapping[str, Any]) -> str:
    leader = candidate_name(one["choice"]) if one["choice"] else ""
    # A certificate of one seed would be of these networks only.
    if leader and not one["error_share"]:
        return f"not tested yet; {leader} leads"
    stands = f"; {leader} stands" if leader else ""
    return f"{STATUSES[one['status']]}{stands}"


def _describe_end(record: Mapping[str, Any], runs: int) -> Iterator[str]:
    """Yield how the rounds ended, and what they trained of all `runs`."""
    rounds = record["rounds"]
    trained = sum(len(one["runs"]) for one in rounds)
    seconds = sum(one["seconds"] for one in rounds)
    end = ENDS.get(record["end"], "they have not ended yet")
    yield (
        f"{format_count(len(rounds), 'round')} trained {trained} of "
        f"{format_count(runs, 'run')} in {format_duration(seconds)}: {end}."
    )


def rounds_sentences(choice: Mapping[str, Any], runs: int) -> Iterator[str]:
    """Yield what a choice owes to rounds; nothing where the whole grid was planned at once."""
    record = choice.get("rounds")
    if not record:
        return
    yield from _describe_end(record, runs)
    share = format_percent(choice["error_share"])
    error = format_percent(1 - choice["rules"]["confidence"])
    yield f"All looks together may err in {error}; this one spends {share} of that."


def round_rows(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a row per round: what was trained, what was not and why, and what was found."""
    return [
        {
            "round": str(number),
            "trained": f"{len(one['runs'])}: {_by_reason(one['reasons'])}",
            "left_out": _by_reason(one["dropped"]) or "none",
            "share": format_percent(one["error_share"]),
            "found": _found(one) if one["status"] else "has not ended",
        }
        for number, one in enumerate(record.get("rounds", ()), start=1)
    ]


def _by_reason(cells: Sequence[Mapping[str, Any]]) -> str:
    """Return the cells of each reason: tiny_cnn at 24 px (near the best)."""
    groups = defaultdict[str, list[tuple[str, int]]](list)
    for one in cells:
        groups[one["reason"]].append((one["model"], one["resolution"]))
    return "; ".join(f"{_name_cells(cells)} ({reason})" for reason, cells in groups.items())
