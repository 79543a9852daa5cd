"""The exported networks in words: what int8 costs in accuracy, and which networks have no cost."""

from collections.abc import Iterator
from typing import Any

from resomap.report.text.candidate import describe_difference
from resomap.report.text.format import candidate_name, join_first
from resomap.text import format_count, format_points
from resomap.workflow.predictions import INT8, RAW

ChoiceRecord = dict[str, Any]
MAX_EXPORTS = 6
MAX_REASONS = 4


def export_sentences(choice: ChoiceRecord) -> Iterator[str]:
    """Yield what each exported network loses in int8, or why it is not used."""
    records = choice.get("exports", ())
    margin = format_points(choice["rules"]["margin"])
    for record in records[:MAX_EXPORTS]:
        yield _describe_export(record, margin, choice["rules"]["margin"])
    if len(records) > MAX_EXPORTS:
        yield f"{len(records) - MAX_EXPORTS} more are in the output of --json."


def _describe_export(record: ChoiceRecord, margin: str, limit: float) -> str:
    if record["problem"]:
        return f"{_name(record, RAW)}: {record['problem']}."
    lost = f"{_name(record, INT8)} loses {describe_difference(record['lost'])} to fp32"
    if record["certified"]:
        return f"{lost} on test images, shown to be less than {margin}."
    if record["lost"]["low"] > limit:
        return f"{lost} on test images, shown to be more than {margin}: not certified."
    return f"{lost} on test images, not shown to be less than {margin}: not certified."


def _name(record: ChoiceRecord, mode: str) -> str:
    return candidate_name({**record, "mode": mode, "variant": None})


def is_unproven_int8(choice: ChoiceRecord) -> bool:
    """Return whether the choice is in int8 and not shown to keep the accuracy of fp32."""
    chosen = choice["choice"]
    keys = ("family", "model", "resolution", "eval_resolution")
    return chosen["mode"] == INT8 and any(
        not record["certified"]
        for record in choice.get("exports", ())
        if not record["problem"] and all(record[key] == chosen[key] for key in keys)
    )


def unmeasured_sentences(
    choice: ChoiceRecord, named: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Yield which candidates have no cost, and so cannot be chosen, beside those `named`."""
    unmeasured = [
        one for one in choice.get("unmeasured", ()) if candidate_name(one) not in named
    ]
    if unmeasured:
        reasons = [f"{candidate_name(one)}, {one['reason']}" for one in unmeasured]
        count = format_count(len(unmeasured), "candidate")
        yield f"{count}: {join_first(reasons, MAX_REASONS, '; ')}."
