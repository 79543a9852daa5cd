"""The title of the figure that shows the choice: accuracy by cost."""

from typing import Any

from resomap.report.text.candidate import most_accurate, within_budgets
from resomap.report.text.confounds import unaccepted
from resomap.report.text.format import candidate_name
from resomap.text import format_points

ChoiceRecord = dict[str, Any]


def choice_title(choice: ChoiceRecord) -> str:
    """Return the title of the figure of accuracy by cost."""
    if choice["status"] == "none":
        return "No cell can be chosen"
    if choice["status"] == "nothing learned":
        return "Nothing was learned: no cell is shown to beat the majority class"
    title = _choice_title(choice)
    if unaccepted(choice):
        return f"Confounded: {title}"
    return f"Provisional: {title}" if choice["provisional"] else title


def _choice_title(choice: ChoiceRecord) -> str:
    """Return the title of a figure with a chosen cell."""
    margin = format_points(choice["rules"]["margin"])
    chosen = candidate_name(choice["choice"])
    if choice["status"] == "chosen":
        return _certified_title(choice, margin)
    if choice["status"] == "undecided":
        return (
            f"Undecided: {candidate_name(choice['needed'])} may be within {margin} of the best"
        )
    if not choice["comparisons"]:
        return f"{chosen} is the only cell{within_budgets(choice)}"
    if any(one["cheaper"] for one in choice["comparisons"]):
        return f"Every cheaper cell is shown to lose more than {margin} to {chosen}"
    return f"{chosen} is {most_accurate(choice)}"


def _certified_title(choice: ChoiceRecord, margin: str) -> str:
    """Return the title where a cell is certified."""
    certified = candidate_name(choice["certified"])
    if choice["certified"] == choice["best"]:
        return f"{certified} is shown to lose less than {margin} to every other cell"
    return f"{certified} is the cheapest cell shown to be within {margin} of every other"
