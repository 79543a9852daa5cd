"""Error messages for an invalid configuration: file, key, what is wrong, what would be right."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from resomap.config.schema import CONFIG_FILES, Config
from resomap.errors import suggest

# One mistake, such as a list for a section, may raise an error for each of its keys.
MOST_LINES = 3
FOUND_KEYS = ("min_resolution", "mmacs_224")
"""Keys of models.yaml in earlier versions, whose values are found by a dry run now."""
MOST_PROBLEMS = 10
"""Lines about mistakes that were found apart from each other."""


def explain(error: ValidationError, names: list[Any]) -> list[str]:
    """Return one line per problem, at most MOST_LINES.

    `names` are the keys of models.yaml, in order.
    """
    lines = []
    for problem in error.errors():
        # pydantic reports a list with an invalid item as too short as well.
        if problem["type"] != "too_short" or not problem["input"]:
            # A value may hold line breaks; a problem has one line.
            lines.append(" ".join(_explain_problem(problem, names).split()))
    return limit_lines(lines, MOST_LINES)


def limit_lines(lines: list[str], most: int = MOST_PROBLEMS) -> list[str]:
    """Return `lines`; of more than `most` the last are counted."""
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"... and {len(lines) - most + 1} more"]


def _explain_problem(problem: ErrorDetails, names: list[Any]) -> str:
    location, kind, value = problem["loc"], problem["type"], problem["input"]
    if not location:
        return f"the configuration cannot be read: {problem['msg']}"
    steps = list(location)
    if location[0] == "models" and len(location) > 1:
        # Models are validated as a list, but written as a mapping.
        steps[1] = names[int(location[1])]
    file, key = file_of(str(location[0])), ".".join(map(str, steps))
    if kind == "extra_forbidden" and location[0] == "models" and location[-1] in FOUND_KEYS:
        return f"{file}: {key} is found by a dry run now: leave the key out"
    if kind == "extra_forbidden":
        hint = suggest(str(location[-1]), _known_keys(location[:-1]))
        return f"{file}: unknown key {key}; {hint}"
    if kind == "missing" and isinstance(location[-1], int):
        # One of several numbers, such as the channels of a mean.
        whole = ".".join(map(str, steps[:-1]))
        return f"{file}: {whole}: value {location[-1] + 1} is missing in {shorten(value)}"
    if kind == "missing":
        return f"{file}: {key} is missing"
    # pydantic adds a prefix to messages of validators.
    if kind == "value_error":
        return f"{file}: {key}: {problem['msg'].removeprefix('Value error, ')}"
    expected = problem["msg"].partition(" after validation")[0]
    return f"{file}: {key}: {expected}, not {shorten(value)}{_number_hint(kind, value)}"


def _number_hint(kind: str, value: Any) -> str:
    """Return how to write a number that YAML reads as text, such as `1e-3`; else a blank."""
    if kind not in ("int_type", "float_type") or not isinstance(value, str):
        return ""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return ""
    # Not with a float, which would write 1e-7 as 0.000000.
    return f" (YAML reads it as text: write {number:f})" if number.is_finite() else ""


def shorten(value: Any) -> str:
    """Return the first 60 characters of `value` as JSON."""
    return json.dumps(value, default=str)[:60]


def file_of(section: str) -> str:
    """Return the file that holds a top-level section: `config/sweep.yaml`."""
    stem = section if section in CONFIG_FILES else "config"
    return f"config/{stem}.yaml"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section at `location`; an integer is a position in a list."""
    section: Any = Config
    for step in location:
        if isinstance(step, str):
            section = section_of(section.model_fields[step].annotation)
    return list(section.model_fields)


def section_of(annotation: Any) -> Any:
    """Return the section type inside an annotation such as `Reef | None`, or None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(section_of, get_args(annotation))), None)
