"""The exported networks in words: what int8 costs in accuracy, and which networks have no cost."""

from collections.abc import Iterator
from typing import Any

from resomap.report.text.candidate import describe_difference
from resomap.report.text.format import candidate_name, join_first
from resomap.text import format_points
from resomap.workflow.predictions import INT8, RAW

ChoiceRecord = dict[str, Any]
MAX_NAMED = 8


def export_sentences(choice: ChoiceRecord) -> Iterator[str]:
    """Yield which networks in int8 keep the accuracy of fp32, what others lose, and what fails."""
    measured = [one for one in choice.get("exports", ()) if not one["problem"]]
    failed = [one for one in measured if not one["keeps_accuracy"]]
    for record in failed[:MAX_NAMED]:
        yield _describe_loss(record, choice["rules"]["margin"])
    if len(failed) > MAX_NAMED:
        yield f"{len(failed) - MAX_NAMED} more lose that much, or may: see --json."
    kept = [
        f"{_name(one, INT8)}, {describe_difference(one['lost'])}"
        for one in measured
        if one["keeps_accuracy"]
    ]
    if kept:
        margin = format_points(choice["rules"]["margin"])
        yield (
            f"Shown to lose less than {margin} to fp32 on test images: "
            f"{join_first(kept, MAX_NAMED, '; ')}."
        )
    problems = [one for one in choice.get("exports", ()) if one["problem"]]
    for record in problems[:MAX_NAMED]:
        yield f"{_name(record, RAW)}: {record['problem']}."
    if len(problems) > MAX_NAMED:
        yield f"{len(problems) - MAX_NAMED} more exports cannot be used: see --json."


def _describe_loss(record: ChoiceRecord, margin: float) -> str:
    lost = f"{_name(record, INT8)} loses {describe_difference(record['lost'])} to fp32 on test images"
    limit = format_points(margin)
    if record["lost"]["low"] > margin:
        return f"{lost}, shown to be more than {limit}: it is not certified."
    return f"{lost}, not shown to be less than {limit}."


def _name(record: ChoiceRecord, mode: str) -> str:
    return candidate_name({**record, "mode": mode, "variant": None})


def is_unproven_int8(choice: ChoiceRecord) -> bool:
    """Return whether the choice is in int8 and not shown to keep the accuracy of fp32."""
    chosen = choice["choice"]
    keys = ("family", "model", "resolution", "eval_resolution")
    return chosen["mode"] == INT8 and any(
        not record["keeps_accuracy"]
        for record in choice.get("exports", ())
        if not record["problem"] and all(record[key] == chosen[key] for key in keys)
    )


def unmeasured_sentences(choice: ChoiceRecord) -> Iterator[str]:
    """Yield which candidates have no cost, and so cannot be chosen, by the reason."""
    by_reason: dict[str, list[str]] = {}
    for one in choice.get("unmeasured", ()):
        by_reason.setdefault(one["reason"], []).append(candidate_name(one))
    for reason, names in by_reason.items():
        yield f"{reason[0].upper()}{reason[1:]}: {join_first(names, MAX_NAMED)}."
