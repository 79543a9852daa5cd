"""Confounds in words: which runs differ, in what, and the key that accepts it."""

from collections.abc import Iterator
from typing import Any

from resomap.report.text.format import cell_name, join_first, join_names
from resomap.text import agree, format_count

ChoiceRecord = dict[str, Any]
MAX_CELLS = 3
NAMES = {
    "batch_size": "batch size",
    "batchnorm_batch": "images that BatchNorm sees at once",
    "steps": "optimizer steps",
    "images_seen": "images seen",
    "learning_rate": "peak learning rate",
    "recipe": "training recipe",
    "data": "images",
    "filter": "resize filter",
    "start": "start weights",
    "resomap": "version of resomap",
    "torch": "version of torch",
    "torchvision": "version of torchvision",
    "latency_device": "device of the latency",
}
"""What confounds are called; others are called by their name."""


def confound_name(name: str) -> str:
    """Return what runs differ in: `version of torch`."""
    return NAMES.get(name, name)


def unaccepted(choice: ChoiceRecord) -> list[str]:
    """Return the names of the confounds that keep cells from being certified."""
    return [one["name"] for one in choice["confounds"] if not one["accepted"]]


def differing(names: list[str]) -> str:
    """Return names of confounds as English: `device and version of torch`."""
    return join_names([confound_name(name) for name in names])


def acceptance(names: list[str]) -> str:
    """Return the key that accepts confounds: `report.accept_confounds: [device]`."""
    return f"report.accept_confounds: [{', '.join(names)}]"


def confound_sentences(choice: ChoiceRecord) -> Iterator[str]:
    """Yield which runs differ in what, and how that is accepted."""
    for one in choice["confounds"]:
        name, key = confound_name(one["name"]), acceptance([one["name"]])
        sentence = f"Compared runs differ in {name}: {_groups(one['groups'])}."
        if one["accepted"]:
            yield f"{sentence} `{key}` accepts it."
        else:
            yield f"{sentence} No cell is certified against such a rival; `{key}` accepts it."


def _groups(groups: list[ChoiceRecord]) -> str:
    """Return the unusual runs with their values, and how many have the usual one."""
    usual, *unusual = groups
    what = "measured cell" if usual["runs"][0]["seed"] is None else "run"
    rest = f"the other {format_count(len(usual['runs']), what)}"
    if not all(_is_readable(group["value"]) for group in groups):
        return f"{'; '.join(map(_runs, unusual))}, from {rest}"
    parts = [f"{_runs(group)} {_has(group)}" for group in unusual]
    return f"{'; '.join(parts)}; {rest} {_has(usual)}"


def _is_readable(value: Any) -> bool:
    """Return whether a value fits into a sentence; whole sections are compared as JSON."""
    return not str(value).startswith("[")


def _runs(group: ChoiceRecord) -> str:
    """Return the first cells of a group with the seeds of their runs."""
    seeds: dict[str, list[int]] = {}
    for run in group["runs"]:
        of_cell = seeds.setdefault(cell_name(run), [])
        # A latency is measured for all seeds of a cell.
        if run["seed"] is not None:
            of_cell.append(run["seed"])
    names = [f"{name}{_seeds(of_cell)}" for name, of_cell in seeds.items()]
    return join_first(names, MAX_CELLS)


def _seeds(seeds: list[int]) -> str:
    """Return seeds in brackets: ` (seeds 0 and 1)`."""
    return f" ({agree(len(seeds), 'seed', 'seeds')} {join_names(seeds)})" if seeds else ""


def _has(group: ChoiceRecord) -> str:
    """Return the value of a group: `have cpu`."""
    have = agree(len(group["runs"]), "has", "have")
    return f"{have} {'none recorded' if group['value'] is None else group['value']}"
