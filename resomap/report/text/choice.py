"""The choice in words: the headline, and the reasons below it."""

from collections.abc import Iterator
from typing import Any

from resomap.report.text.candidate import (
    accuracy_interval,
    cell_facts,
    describe_difference,
    lower_first,
    most_accurate,
    on_device,
    within_budgets,
)
from resomap.report.text.confounds import confound_sentences, differing, unaccepted
from resomap.report.text.exports import export_sentences, unmeasured_sentences
from resomap.report.text.format import candidate_name, cell_name, join_first
from resomap.report.text.page.remedy import describe_remedy
from resomap.text import (
    agree,
    format_count,
    format_milliseconds,
    format_percent,
    format_points,
)

ChoiceRecord = dict[str, Any]
MAX_NAMED = 4
TESTED_ON = {
    "test": (
        "Validation images fix a sequence of cells, from the most accurate to cheaper ones. "
        "Test images certify it, each cell against every other, up to the first failure."
    ),
    "val": (
        "There are no test images to spare: validation images select and certify cells, which "
        "share the error."
    ),
}
# "Within" and "worse" are claims with a confidence; what is neither stays open.
VERDICTS = {
    "within": "shown to be within {margin} of every other",
    "worse": "shown to be worse by more than {margin}",
    "open": "neither shown to be within {margin} nor shown to be worse",
}


def describe_choice(choice: ChoiceRecord) -> ChoiceRecord:
    """Return the choice with `headline` and `reasons`, a list of sentences."""
    return choice | {"headline": headline(choice), "reasons": list(_reasons(choice))}


def headline(choice: ChoiceRecord) -> str:
    """Return the choice and why it was made, or that nothing was learned."""
    text = _headline(choice)
    # First, since the terminal prints only the headline.
    if choice["provisional"]:
        text = f"Provisional, since latencies are marked invalid. {text}"
    confounds = unaccepted(choice)
    if confounds:
        text = f"Confounded, since compared runs differ in {differing(confounds)}. {text}"
    return text


def _headline(choice: ChoiceRecord) -> str:
    """Return the headline without what weakens it."""
    if choice["status"] == "nothing learned":
        return _nothing_learned(choice)
    if choice["status"] == "none":
        excluded = len(choice["excluded"])
        if not excluded and choice.get("unmeasured"):
            return f"No choice: no cell was measured{on_device(choice)}."
        if not excluded:
            return "No choice: no run of this sweep has a result."
        cells = format_count(excluded, "cell")
        if not choice["baseline"]["allowed"]:
            return f"No choice: no cell is within the budgets ({cells} excluded)."
        majority = _majority(choice["baseline"])
        return f"No choice: no cell within the budgets is shown to beat {majority}."
    # The first words must survive alone: the terminal prints only the headline.
    if choice["status"] == "undecided":
        return _undecided_headline(choice)
    why = _why_chosen(choice) if choice["status"] == "chosen" else _why_best(choice)
    facts = cell_facts(choice["choice"], choice)
    return f"Choose {candidate_name(choice['choice'])}: {why}. {facts}."


def _nothing_learned(choice: ChoiceRecord) -> str:
    """Return that no cell beats the majority class, with the accuracy of the best one."""
    baseline, best = choice["baseline"], choice["best"]
    accuracy = accuracy_interval(best["test_accuracy"], choice["rules"]["confidence"])
    return (
        f"Nothing was learned: no cell is shown to beat {_majority(baseline)}. "
        f"The best on validation images, {candidate_name(best)}, has test accuracy {accuracy}."
    )


def _majority(baseline: ChoiceRecord) -> str:
    """Return the baseline with what it scores."""
    images = format_count(baseline["n_test"], "test image")
    share = baseline["majority_accuracy"]
    return f"the majority class, which alone scores {share:.3f} on {images}"


def _why_chosen(choice: ChoiceRecord) -> str:
    """Return why the cell was chosen, where the certificate chose one."""
    best, margin = choice["best"], format_points(choice["rules"]["margin"])
    certified = choice["certified"]
    if choice["choice"] != certified:
        return f"{_why_frugal(choice)}. The certified cell is {candidate_name(certified)}"
    if certified == best:
        return f"shown to lose less than {margin} to every other cell{within_budgets(choice)}"
    share = format_percent(certified["latency_ms_p50"] / best["latency_ms_p50"])
    return (
        f"the cheapest cell shown to be within {margin} of every other"
        f"{within_budgets(choice)}, at {share} of the latency of the best, {candidate_name(best)}"
    )


def _why_frugal(choice: ChoiceRecord) -> str:
    """Return what the cheapest cell that is not shown to be worse may lose."""
    at_most = format_points(choice["frugal"]["at_most"])
    return f"the cheapest cell not shown to be worse. It may lose up to {at_most}"


def _why_best(choice: ChoiceRecord) -> str:
    """Return why the most accurate cell was chosen."""
    # Without a latency no cell can be cheaper, so accuracy alone decided.
    if choice["choice"]["latency_ms_p50"] is None:
        return (
            f"{most_accurate(choice)}. No latency was measured, so none is known to be cheaper"
        )
    if not choice["comparisons"]:
        return f"the only cell{within_budgets(choice)}"
    if not any(one["cheaper"] for one in choice["comparisons"]):
        return f"{most_accurate(choice)}, and none is shown to cost less"
    margin = format_points(choice["rules"]["margin"])
    return f"{most_accurate(choice)}. Every cheaper cell is shown to be worse by more than {margin}"


def _undecided_headline(choice: ChoiceRecord) -> str:
    """Return what is open, what would decide it, and what to take until then."""
    needed, margin = choice["needed"], format_points(choice["rules"]["margin"])
    text = (
        f"Undecided: {candidate_name(needed)} costs less and may be within {margin} of the best. "
        f"{describe_remedy(needed)}. Until then, choose {candidate_name(choice['choice'])}: "
    )
    if choice["rules"]["attitude"] == "frugal":
        text += f"{_why_frugal(choice)}. "
        return f"{text}{cell_facts(choice['choice'], choice)}."
    return f"{text}{lower_first(cell_facts(choice['choice'], choice))}."


def _reasons(choice: ChoiceRecord) -> Iterator[str]:
    """Yield the sentences below the headline."""
    rules = choice["rules"]
    if choice["status"] == "nothing learned":
        yield (
            "Networks that learned nothing give no reason to choose one. Check the labels "
            "first; then train longer, with another learning rate, or on more images."
        )
    if choice["choice"] is not None:
        yield from _selection(choice)
        yield from _control(choice)
        yield from caveats(choice)
    yield from _exclusions(choice["excluded"])
    yield from unmeasured_sentences(choice)
    yield from export_sentences(choice)
    budgets = {key for key in rules if key.startswith(("max_", "min_"))} - {"max_failed_seeds"}
    if rules["alarms"] == "allowed" and not any(rules[key] for key in budgets):
        yield "No budget was set (report.max_latency_ms, report.min_accuracy and others)."


def _exclusions(excluded: list[ChoiceRecord]) -> Iterator[str]:
    """Yield why cells are excluded; networks away from their size are only counted."""
    as_trained = [one for one in excluded if candidate_name(one) == cell_name(one)]
    for cell in as_trained:
        yield f"{cell_name(cell)} is excluded: {cell['reason']}."
    others = len(excluded) - len(as_trained)
    if others:
        yield (
            f"{format_count(others, 'further candidate')} {agree(others, 'is', 'are')} excluded, "
            "too: networks at other sizes, adapted, or run in another variant."
        )


def _selection(choice: ChoiceRecord) -> Iterator[str]:
    """Yield how the cells compare on validation images, and what the choice gives up."""
    best, rules = choice["best"], choice["rules"]
    accuracy = accuracy_interval(best["val_accuracy"], rules["confidence"])
    yield f"Best on validation images: {candidate_name(best)}, accuracy {accuracy}."
    yield TESTED_ON[choice["tested_on"]]
    # Stated before the comparisons: what is not detected is open, not absent.
    detectable = choice["minimum_detectable_difference"]
    if detectable is not None:
        yield (
            "A typical comparison on test images detects differences of "
            f"{format_points(detectable)} or more in four cases of five."
        )
    yield from _cheaper_cells(choice)
    if choice["choice"] != best:
        regret = choice["regret"]
        yield (
            f"The choice gives up {describe_difference(regret)} on test images. "
            f"The images leave at most {format_points(regret['at_most'])} possible."
        )
    if choice["needed"] and choice["status"] == "chosen":
        needed = choice["needed"]
        yield f"{candidate_name(needed)} costs less and is open. {describe_remedy(needed)}."
    yield from other_attitude(choice)
    if choice["runner_up"]:
        runner_up = choice["runner_up"]
        facts = lower_first(cell_facts(runner_up, choice))
        yield f"Runner-up: {candidate_name(runner_up)}, {facts}."


def other_attitude(choice: ChoiceRecord) -> Iterator[str]:
    """Yield the answer of the attitude that does not stand in the headline."""
    frugal, certified, chosen = choice["frugal"], choice["certified"], choice["choice"]
    if choice["rules"]["attitude"] == "frugal":
        if certified is None:
            yield "No cell is certified: shown within the margin of every other."
    elif candidate_name(frugal) != candidate_name(chosen):
        latency = format_milliseconds(frugal["latency_ms_p50"])
        yield (
            f"A frugal choice is {candidate_name(frugal)}, {latency} per image: it is not shown to be "
            f"worse, but it may lose up to {format_points(frugal['at_most'])}."
        )


def _control(choice: ChoiceRecord) -> Iterator[str]:
    """Yield how many cells were found to differ from themselves."""
    control = choice["control"]
    if control:
        seeds, found = format_count(control["n_seeds"], "seed"), control["differences"]
        yield (
            f"A/A control: the networks of {seeds} of each cell, compared with those of as many "
            f"other seeds. {found} of {format_count(control['comparisons'], 'comparison')} "
            f"{agree(found, 'shows', 'show')} a difference, which would be false; "
            f"{control['expected']:.1f} are expected."
        )


def _cheaper_cells(choice: ChoiceRecord) -> Iterator[str]:
    """Yield a sentence per verdict about the cells that cost less than the best."""
    margin = format_points(choice["rules"]["margin"])
    for verdict, words in VERDICTS.items():
        cells = [
            one for one in choice["comparisons"] if one["cheaper"] and one["verdict"] == verdict
        ]
        # The most accurate first: they are the closest rivals.
        cells.sort(key=lambda one: -one["difference"]["mean"])
        if not cells:
            continue
        nearest = f"{candidate_name(cells[0])}, {describe_difference(cells[0]['difference'])}"
        others = ""
        if len(cells) > 1:
            others = f"{format_count(len(cells), 'cell')}, the closest of them "
        yield f"Cheaper than the best and {words.format(margin=margin)}: {others}{nearest}."


def caveats(choice: ChoiceRecord) -> Iterator[str]:
    """Yield what weakens the choice."""
    chosen, baseline = choice["choice"], choice["baseline"]
    if chosen["test_accuracy"]["low"] <= baseline["majority_accuracy"]:
        yield (f"{candidate_name(chosen)} itself is not shown to beat {_majority(baseline)}.")
    if choice["provisional"]:
        names = join_first(
            [candidate_name(cell) for cell in choice["provisional"]], MAX_NAMED, "; "
        )
        yield (
            "The choice is provisional: latencies that it rests on are marked invalid, since "
            f"the machine was disturbed ({names}). Measure again on an idle machine."
        )
    yield from confound_sentences(choice)
    cells = [choice[name] for name in ("choice", "best", "runner_up") if choice[name]]
    # The choice may be the best cell too.
    cells = list({candidate_name(cell): cell for cell in cells}.values())
    if any(cell["n_seeds"] == 1 for cell in cells):
        yield (
            f"With one seed the intervals hold for {agree(len(cells), 'this', 'these')} "
            f"{agree(len(cells), 'network', 'networks')} only: "
            "another seed may change the choice."
        )
