"""The words of the controls: limits with their units, and filters."""

from typing import NamedTuple

from resomap.config.report import COST_BUDGETS
from resomap.report.text.format import MODE_NAMES, variant_name
from resomap.workflow.predictions import RAW

MAIN_VARIANT_NAME = "as profiled first"


class SliderWords(NamedTuple):
    """The label and the unit of a limit, its column, and how many units of the column are one."""

    label: str
    unit: str
    column: str
    scale: float = 1.0
    is_floor: bool = False


_SLIDERS = {
    "max_latency_ms": SliderWords("Latency at most (p90)", "ms", "latency_ms_p90"),
    "max_peak_memory_mib": SliderWords("Peak memory at most", "MiB", "peak_memory_mib"),
    "max_model_size_mib": SliderWords("Model size at most", "MiB", "model_size_mib"),
    "min_accuracy": SliderWords(
        "Accuracy at least (validation)", "%", "accuracy", 0.01, is_floor=True
    ),
    "max_energy_j_per_image": SliderWords(
        "Energy per image at most", "mJ", "energy_j_per_image", 1e-3
    ),
    "max_macs": SliderWords("MACs at most", "millions", "macs", 1e6),
}
SLIDERS = _SLIDERS | {
    key: SliderWords(f"{cost.name[0].upper()}{cost.name[1:]} at most", cost.unit, cost.column)
    for key, cost in COST_BUDGETS.items()
    if key not in _SLIDERS
}
"""By key of `report`."""
FILTERS = {"models": "Models", "modes": "Precision and adaptation", "variants": "Runtime"}
ATTITUDES = {
    "certified": "shown good enough",
    "frugal": "not shown worse",
}


def option_name(key: str, value: str) -> str:
    """Return the name of a value of a filter."""
    if key == "modes":
        return "as trained" if value == RAW else MODE_NAMES.get(value, value)
    if key == "variants":
        return MAIN_VARIANT_NAME if value == "main" else variant_name(value)
    return value


CONTROL_WORDS = {
    "no_limit": "no limit",
    "all": "all {count}",
    "some": "{shown} of {count}",
    "none": "select at least one",
    "command": "The same answer on the command line:",
    "provisional": "Provisional, since {needed} is not decided: what would decide it needs a new test. Run",
    "copy": "Copy",
    "copied": "Copied",
    "selected": "Selected: copy it with Ctrl+C",
}
"""What scripts write beside the controls."""
