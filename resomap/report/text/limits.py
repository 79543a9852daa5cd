"""Limits of a sweep in words."""

from collections.abc import Callable

from resomap.analysis.findings.finding import Finding
from resomap.analysis.findings.limits import MIN_GRID
from resomap.config.report import CONFOUNDS
from resomap.report.methods import method_name
from resomap.report.text.format import (
    cell_name,
    join_first,
    join_sizes,
    measurement_name,
)
from resomap.text import agree, format_count, format_percent

MAX_NAMED = 6
# `{have}` agrees with the number of runs.
MISSING = {
    "diverged": "diverged",
    "infeasible": "did not fit into memory",
    "stale": (
        "{have} results of another configuration, which are left out (the same command makes "
        "them again)"
    ),
    "failed": (
        "ended without a result (the same command retries; the reason is in logs/train)"
    ),
    "training": "{have} not finished training yet",
    "waiting": "{have} no results yet",
}
# Neither is an error: both are what the machine can do.
UNMEASURED = {
    "infeasible": "did not fit into memory",
    "unsupported": "cannot be run in this way on this machine",
}


def missing_sentence(finding: Finding) -> str:
    """Return which runs have no number, and why."""
    runs = finding.numbers["runs"]
    what = MISSING[finding.state].format(have=agree(runs.value, "has", "have"))
    count = f"{runs.value} of {format_count(runs.n or 0, 'run')}"
    return f"{count} {what}. {agree(runs.value, 'It is', 'They are')} {_runs(finding)}."


def _runs(finding: Finding) -> str:
    """Return the names of the first runs, each with its reason where there is one."""
    names = []
    for part in finding.parts:
        reason = part.subject["reason"]
        # A blank of the table is NaN, which is true.
        text = f" ({reason})" if isinstance(reason, str) else ""
        names.append(f"{cell_name(part.subject)}, seed {part.subject['seed']}{text}")
    return join_first(names, MAX_NAMED, "; ")


def limit_sentence(finding: Finding) -> str:
    """Return a limit as a sentence."""
    return TEMPLATES[finding.kind](finding)


def _nothing_learned(finding: Finding) -> str:
    return (
        "No cell is shown to beat the majority class. Costs are measured as in any sweep, but "
        "cues, maps and interventions are those of networks that learned nothing."
    )


def _halved_learning_rate(finding: Finding) -> str:
    return (
        "Trained at half the learning rate, after a loss that was not finite: "
        f"{_runs(finding)}. This confounds every comparison with them."
    )


def _accumulated_batch(finding: Finding) -> str:
    return (
        "Memory ran out, so the batch was accumulated from micro-batches: "
        f"{_runs(finding)}. This is a confound for networks with BatchNorm, "
        "whose statistics are those of a micro-batch."
    )


def _disturbed(finding: Finding) -> str:
    # One reason needs no count: it is that of all.
    reasons = finding.subject["reasons"]
    counts = [f"{count} {reason}" for reason, count in reasons.items()]
    text = next(iter(reasons)) if len(reasons) == 1 else ", ".join(counts)
    are = agree(finding.numbers["measurements"].value, "is", "are")
    return (
        f"{_share_of_measurements(finding)} {are} marked invalid ({text})."
        f"{_measurements(finding)} Compare with care, or measure again on an idle machine."
    )


def _unmeasured(finding: Finding) -> str:
    words, reasons = UNMEASURED[finding.subject["status"]], finding.subject["reasons"]
    sentence = f"{_share_of_measurements(finding)} {words}.{_measurements(finding)}"
    return f"{sentence} {join_first(reasons, MAX_NAMED, '; ')}." if reasons else sentence


def _share_of_measurements(finding: Finding) -> str:
    measurements = finding.numbers["measurements"]
    return f"{measurements.value} of {format_count(measurements.n or 0, 'cost measurement')}"


def _measurements(finding: Finding) -> str:
    """Return which measurement is the first, after a space; nothing where it is about all."""
    measurements = finding.numbers["measurements"]
    if measurements.value == measurements.n:
        return ""
    first = f" The first is {measurement_name(finding.parts[0].subject)}."
    if measurements.value == 1:
        return first.replace("The first is", "It is")
    return f"{first} All are marked in results/{finding.evidence}."


def _one_seed(finding: Finding) -> str:
    cells = finding.numbers["cells"]
    have = agree(cells.value, "has", "have")
    return (
        f"{cells.value} of {format_count(cells.n or 0, 'cell')} {have} one seed: "
        "the intervals are over images (Wilson) and hold for that network only, "
        "not for the next one that is trained."
    )


def _two_seeds(finding: Finding) -> str:
    return (
        "Two seeds hardly show their own spread: what seeds add to the variance is pooled over "
        "all cells, unless a cell varies more."
    )


def _confound(finding: Finding) -> str:
    name = finding.subject["name"]
    values = ", ".join(str(value) for value in finding.subject["values"][:MAX_NAMED])
    if name in CONFOUNDS:
        return (
            f"Runs differ in {name} ({values}): this confounds every comparison between them."
        )
    return f"Runs differ in {name} ({values}), which is not held against a comparison."


def _above_native(finding: Finding) -> str:
    resolutions, stored_at = finding.subject["resolutions"], finding.subject["stored_at"]
    names = join_sizes(resolutions)
    add = agree(len(resolutions), "adds", "add")
    if finding.state == "pixels dropped":
        share = format_percent(finding.numbers["share"].value)
        keep = int(finding.numbers["keep"].value)
        return (
            f"{share} of the files have more pixels than the {stored_at} px at which images are "
            f"stored. {names} {add} none of them. Set data.native_resolution: {keep} to keep "
            "them. Until then gains there are due to the grid."
        )
    return (
        f"No image has more than the {stored_at} px at which images are stored. "
        f"{names} {add} pixels and no detail, so gains there are due to the grid."
    )


def _failed_sanity_check(finding: Finding) -> str:
    return (
        f"{method_name(finding.subject['method'])} fails the sanity check and is greyed out. "
        "Its maps hardly change when head and last block are re-initialised. "
        f"{_worst_cell(finding, 'It retains most')}"
    )


def _incomplete_attributions(finding: Finding) -> str:
    return (
        "Integrated Gradients do not add up to the change of the output. "
        f"{_worst_cell(finding, 'The error is largest')} "
        "Increase explainability.ig_steps to reduce it."
    )


def _worst_cell(finding: Finding, claim: str) -> str:
    """Return the cell with the largest value, and where the others are."""
    worst = max(finding.parts, key=lambda part: part.numbers["value"].value)
    share = format_percent(worst.numbers["value"].value)
    text = f"{claim} in {cell_name(worst.subject)}: {share}."
    if len(finding.parts) == 1:
        return text
    cells = format_count(len(finding.parts), "cell")
    return f"{text} {cells} of results/{finding.evidence} are above the limit."


def _coarse_maps(finding: Finding) -> str:
    where, grid = join_sizes(finding.subject["resolutions"]), MIN_GRID
    return (
        f"{method_name(finding.subject['method'])} maps at {where} are not meaningful. "
        f"They have fewer than {grid} x {grid} cells."
    )


def _one_training_set(finding: Finding) -> str:
    return "Intervals hold for this training set: other training images would widen them."


# One function per kind of finding in `analysis/findings/limits.py`.
TEMPLATES: dict[str, Callable[[Finding], str]] = {
    "nothing learned": _nothing_learned,
    "halved learning rate": _halved_learning_rate,
    "accumulated batch": _accumulated_batch,
    "disturbed measurements": _disturbed,
    "unmeasured": _unmeasured,
    "one seed": _one_seed,
    "two seeds": _two_seeds,
    "confound": _confound,
    "above native": _above_native,
    "failed sanity check": _failed_sanity_check,
    "incomplete attributions": _incomplete_attributions,
    "coarse maps": _coarse_maps,
    "one training set": _one_training_set,
}
