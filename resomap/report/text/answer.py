"""The answer of `resomap choose`: the choice, how sure it is, what it gives up, and why not others."""

from collections.abc import Iterator
from typing import Any

from resomap.analysis.decision.inputs import Progress
from resomap.report.text.candidate import (
    cell_facts,
    describe_difference,
    lower_first,
    most_accurate,
    on_device,
)
from resomap.report.text.choice import caveats, headline, other_attitude
from resomap.report.text.confounds import confound_name, differing, unaccepted
from resomap.report.text.exports import (
    export_sentences,
    is_unproven_int8,
    unmeasured_sentences,
)
from resomap.report.text.format import candidate_name, join_first, join_names
from resomap.report.text.page.remedy import describe_remedy
from resomap.report.text.page.rounds import rounds_sentences
from resomap.text import agree, format_count, format_percent, format_points

ChoiceRecord = dict[str, Any]
MAX_NEIGHBOURS = 6
MAX_REASONS = 4
INDENT = 11
"""Columns of the names of the parts."""


def answer_lines(choice: ChoiceRecord, progress: Progress) -> Iterator[str]:
    """Yield the answer, and how far the sweep is."""
    yield headline(choice)
    parts: list[tuple[str, Iterator[str]]] = [
        ("Device", _device(choice)),
        ("How sure", _certainty(choice)),
        ("Gives up", _loss(choice)),
        ("Runner-up", _runner_up(choice)),
        ("Why not", _neighbours(choice)),
        ("Open", _open_question(choice)),
        ("Otherwise", other_attitude(choice) if choice["choice"] else iter(())),
        ("Excluded", _exclusions(choice)),
        ("Unmeasured", unmeasured_sentences(choice)),
        ("Exports", export_sentences(choice)),
        ("Caution", caveats(choice) if choice["choice"] else iter(())),
        ("Rounds", rounds_sentences(choice, progress.runs)),
        ("Sweep", _progress(progress)),
    ]
    for name, sentences in parts:
        for number, sentence in enumerate(sentences):
            yield f"{'' if number else name:<{INDENT}}{sentence}"


def _device(choice: ChoiceRecord) -> Iterator[str]:
    """Yield where the cost was measured, unless it was by the profiles of the sweep."""
    if choice.get("device"):
        yield f"All costs were measured{on_device(choice)}, and none on the machine of the sweep."


def _certainty(choice: ChoiceRecord) -> Iterator[str]:
    """Yield what is shown about the choice, and with which confidence."""
    chosen = choice["choice"]
    if chosen is None:
        return
    if not choice["comparisons"]:
        yield "There is no other candidate to compare it with."
        if is_unproven_int8(choice):
            yield "It is not shown to keep the accuracy that it has in fp32."
        return
    margin, rules = format_points(choice["rules"]["margin"]), choice["rules"]
    confidence = f"{100 * rules['confidence']:g} %"
    at_most = format_points(choice["regret"]["at_most"])
    if choice["certified"] and candidate_name(choice["certified"]) == candidate_name(chosen):
        images = "test" if choice["tested_on"] == "test" else "validation"
        yield (
            f"Shown on {images} images, with {confidence} confidence, to lose less than {margin} "
            f"to every other candidate: at most {at_most}."
        )
        return
    confounds = unaccepted(choice)
    if confounds and choice["regret"]["at_most"] <= rules["margin"]:
        yield (
            f"It would be within {margin} of every other candidate, but their runs differ in "
            f"{differing(confounds)}, and what that changes is unknown."
        )
    elif is_unproven_int8(choice) and choice["regret"]["at_most"] <= rules["margin"]:
        yield (
            f"It would be within {margin} of every other candidate, but it is not shown to keep "
            "the accuracy that it has in fp32."
        )
    else:
        yield f"Not shown to be within {margin} of every other candidate: it may lose {at_most}."
    if choice["status"] == "best" and choice["comparisons"]:
        yield f"Nothing that is shown to cost less may be within {margin} of it."


def _loss(choice: ChoiceRecord) -> Iterator[str]:
    """Yield what the choice gives up against the best candidate."""
    if choice["choice"] is None:
        return
    best = candidate_name(choice["best"])
    if candidate_name(choice["choice"]) == best:
        yield f"Nothing: it is {most_accurate(choice)}."
        return
    yield f"{describe_difference(choice['regret'])} on test images, to the best, {best}."


def _runner_up(choice: ChoiceRecord) -> Iterator[str]:
    """Yield the second choice."""
    runner_up = choice["runner_up"]
    if runner_up:
        facts = lower_first(cell_facts(runner_up, choice))
        yield f"{candidate_name(runner_up)}, {facts}."


def _neighbours(choice: ChoiceRecord) -> Iterator[str]:
    """Yield why each neighbour of the choice was not chosen."""
    neighbours = choice["neighbours"]
    for neighbour in neighbours[:MAX_NEIGHBOURS]:
        yield f"{candidate_name(neighbour)}: {_why_not(neighbour, choice)}{_marks(neighbour)}."
    if len(neighbours) > MAX_NEIGHBOURS:
        yield f"{len(neighbours) - MAX_NEIGHBOURS} more are in the output of --json."


def _why_not(neighbour: ChoiceRecord, choice: ChoiceRecord) -> str:
    """Return the reason against a neighbour."""
    margin, why = format_points(choice["rules"]["margin"]), neighbour["why"]
    if why == "excluded":
        return str(neighbour["reason"])
    difference = f"{describe_difference(neighbour['difference'])} on validation images"
    if why == "worse":
        return f"shown to lose more than {margin} to the best; {difference}"
    if why == "open":
        return (
            f"{_times(neighbour)} latency, but it may lose "
            f"{format_points(neighbour['at_most'])}; {difference}"
        )
    if why == "dearer":
        return f"{_times(neighbour)} latency for {difference}"
    return f"not shown to cost less; {difference}"


def _marks(neighbour: ChoiceRecord) -> str:
    """Return what the runs of a neighbour and of the choice differ in, as a bracket."""
    names = [confound_name(name) for name in neighbour.get("confounds", ())]
    return f" (confounded by {join_names(names)})" if names else ""


def _times(neighbour: ChoiceRecord) -> str:
    """Return the latency of a neighbour relative to that of the choice: `1.4 times the`."""
    ratio = neighbour["times_latency"]
    return f"{format_percent(ratio)} of the" if ratio < 1 else f"{ratio:.2g} times the"


def _open_question(choice: ChoiceRecord) -> Iterator[str]:
    """Yield what is open, and what would settle it."""
    needed = choice["needed"]
    if needed:
        margin = format_points(choice["rules"]["margin"])
        name = candidate_name(needed)
        yield f"{name} costs less, and may be within {margin}. {describe_remedy(needed)}."


def _exclusions(choice: ChoiceRecord) -> Iterator[str]:
    """Yield how many more candidates the budgets exclude, and the first reasons."""
    named = {candidate_name(one) for one in choice["neighbours"]}
    excluded = [one for one in choice["excluded"] if candidate_name(one) not in named]
    if excluded:
        reasons = [f"{candidate_name(one)}, {one['reason']}" for one in excluded]
        count = format_count(len(excluded), "candidate")
        yield f"{count}: {join_first(reasons, MAX_REASONS, '; ')}."


def _progress(progress: Progress) -> Iterator[str]:
    """Yield how many runs have no result, and how many are missing."""
    runs, failed = format_count(progress.runs, "run"), progress.failed
    if failed:
        yield f"{failed} of {runs} diverged or did not fit in memory."
    missing = progress.runs - progress.finished - failed
    if missing:
        yield (
            f"{progress.finished + failed} of {runs} have finished; the "
            f"{agree(missing, 'other one', f'other {missing}')} may change the answer."
        )
