"""The words of the choice: a headline that can stand alone, and the reasons under it."""

from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]
MOST_NAMED = 4


def explain(record: Record) -> Record:
    """Add `headline` (one sentence) and `reasons` (sentences) to a choice."""
    headlines = {"none": _none, "chosen": _chosen, "best": _best, "undecided": _undecided}
    return record | {
        "headline": headlines[record["status"]](record),
        "reasons": list(_reasons(record)),
    }


def _none(record: Record) -> str:
    if not record["excluded"]:
        return "No choice: no run has finished."
    return f"No choice: none of the {len(record['excluded'])} cells keeps the budgets."


def _chosen(record: Record) -> str:
    return (
        f"Choose {_told(record['choice'], record['rules'])}: the cheapest cell shown to be within {points(record['rules']['margin'])} of the best, "
        f"{cell_name(record['best'])}{_saving(record['choice'], record['best'])}."
    )


def _best(record: Record) -> str:
    choice = record["choice"]
    if choice["latency_ms_p50"] is None:
        return f"Choose {_told(choice, record['rules'])}: the most accurate cell; without a measured latency nothing is known to be cheaper."
    if not any(one["cheaper"] for one in record["comparisons"]):
        return f"Choose {_told(choice, record['rules'])}: {'the only cell' if not record['comparisons'] else 'the most accurate cell and the cheapest'}."
    return f"Choose {_told(choice, record['rules'])}: the most accurate cell; every cheaper one is shown to be worse by more than {points(record['rules']['margin'])}."


def _undecided(record: Record) -> str:
    needed = record["needed"]
    return (
        f"Undecided: {cell_name(needed)} costs less and may be within {points(record['rules']['margin'])} of the best; "
        f"{_remedy(needed)}. Until then take {_told(record['choice'], record['rules'])}."
    )


def _remedy(needed: Record) -> str:
    ways = [
        f"{count} more {what}{'' if count == 1 else 's'}"
        for count, what in (
            (needed["more_seeds"], "seed"),
            (needed["more_pictures"], "validation picture"),
        )
        if count
    ]
    if not ways:
        return "no affordable number of seeds or validation pictures would settle it"
    return f"{' or '.join(ways)} would settle it"


def _reasons(record: Record) -> Iterator[str]:
    rules = record["rules"]
    if record["choice"] is not None:
        yield from _selection(record)
        yield from _costs(record)
    for cell in record["excluded"]:
        yield f"{cell_name(cell)} was left out: {cell['reason']}."
    if rules["max_latency_ms"] is None and rules["min_accuracy"] is None:
        yield "No budget was set (report.max_latency_ms, report.min_accuracy)."


def _selection(record: Record) -> Iterator[str]:
    best, regret, margin = record["best"], record["regret"], points(record["rules"]["margin"])
    yield (
        f"Best on validation: {cell_name(best)}, {interval_text(best['val_accuracy'], record['rules']['confidence'])}. Cells were selected on validation pictures; "
        "accuracies above are of test pictures."
    )
    detectable = record["minimum_detectable_difference"]
    if detectable is not None:
        yield f"A typical comparison in this sweep finds differences from {points(detectable)} on, four times in five."
    yield from _cheaper(record, margin)
    if record["choice"] != best:
        yield f"The choice gives up {difference_text(regret)} on test; validation leaves at most {points(regret['at_most'])} possible."
    if record["needed"] and record["status"] == "chosen":
        yield f"{cell_name(record['needed'])} costs even less and is open: {_remedy(record['needed'])}."
    if record["runner_up"]:
        yield f"Runner-up: {_told(record['runner_up'], record['rules'])}."


def _cheaper(record: Record, margin: str) -> Iterator[str]:
    """One sentence a verdict, naming the most accurate cells."""
    told = {
        "within": f"shown to be within {margin}",
        "worse": f"shown to be worse by more than {margin}",
        "open": f"neither shown to be within {margin} nor to be worse",
    }
    for verdict, words in told.items():
        cells = [
            one for one in record["comparisons"] if one["cheaper"] and one["verdict"] == verdict
        ]
        cells.sort(key=lambda one: -one["difference"]["mean"])
        names = [
            f"{cell_name(one)} ({difference_text(one['difference'])})"
            for one in cells[:MOST_NAMED]
        ]
        more = [f"{len(cells) - MOST_NAMED} more"] if len(cells) > MOST_NAMED else []
        if cells:
            yield f"Cheaper than the best, and {words}: {'; '.join(names + more)}."


def _costs(record: Record) -> Iterator[str]:
    cells = [record[name] for name in ("choice", "best", "runner_up") if record[name]]
    if any(cell["latency_valid"] is False for cell in cells):
        yield "Latencies behind this choice were measured on a disturbed machine and are marked invalid: measure again before relying on them."
    if any(cell["n_seeds"] == 1 for cell in cells):
        yield "With one seed the intervals hold for these very networks: another seed may turn the choice."


def _told(cell: Record, rules: Record) -> str:
    cost = (
        ""
        if cell["latency_ms_p50"] is None
        else f", {milliseconds(cell['latency_ms_p50'])} a picture"
    )
    return (
        f"{cell_name(cell)} ({interval_text(cell['test_accuracy'], rules['confidence'])}{cost})"
    )


def _saving(choice: Record, best: Record) -> str:
    return f", at {choice['latency_ms_p50'] / best['latency_ms_p50']:.0%} of its latency"


def cell_name(cell: Record) -> str:
    """`tiny_cnn at 96 px`."""
    return f"{cell['model']} at {cell['resolution']} px"


def interval_text(interval: Record, confidence: float) -> str:
    """`accuracy 0.975, 95 % interval 0.968-0.981`."""
    ends = f"{interval['low']:.3f}\N{EN DASH}{interval['high']:.3f}"
    return f"accuracy {interval['mean']:.3f}, {100 * confidence:g} % interval {ends}"


def difference_text(interval: Record) -> str:
    """`1.2 points, interval 0.4 to 2.0`, of a difference of accuracies."""
    return f"{points(interval['mean'])}, interval {100 * interval['low']:.1f} to {100 * interval['high']:.1f}".replace(
        "-", "\N{MINUS SIGN}"
    )


def points(difference: float) -> str:
    """A difference of accuracies in points of a hundred."""
    number = f"{100 * difference:.1f}".removesuffix(".0").replace("-", "\N{MINUS SIGN}")
    return f"{number} point{'' if number == '1' else 's'}"


def milliseconds(latency: float) -> str:
    """Three significant digits, `2.31 ms`."""
    return f"{latency:.3g} ms" if latency < 100 else f"{latency:.0f} ms"
