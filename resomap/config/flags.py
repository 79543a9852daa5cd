"""Keys of the `report` section as flags of a command: `report.max_latency_ms` is --max-latency-ms."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from resomap.errors import ConfigError

if TYPE_CHECKING:
    from resomap.config.report import Report

NO_BUDGET = "none"
"""What a flag says to take the budget of the configuration away."""


def apply_flags(report: "Report", flags: Mapping[str, Any]) -> "Report":
    """Return the rules with the flags in place of their keys; None leaves a key as it is.

    NO_BUDGET takes a budget of the configuration away. ConfigError names each wrong flag.
    """
    # Imported here: the command line reads this module to start, and pydantic takes a while.
    from pydantic import ValidationError

    from resomap.config.messages import shorten

    given: dict[str, Any] = {}
    for name, value in flags.items():
        if value is not None:
            given[name] = None if value == NO_BUDGET else value
    values = report.model_dump(mode="json") | given
    try:
        return type(report).model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            flag = f"--{str(problem['loc'][0]).replace('_', '-')}"
            message = problem["msg"]
            # Validators of this package name the value themselves; pydantic adds a prefix.
            if problem["type"] == "value_error":
                message = message.removeprefix("Value error, ")
            else:
                message += f", not {shorten(problem['input'])}"
            lines.append(f"{flag}: {message}")
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def parse_budget(text: str) -> float | str:
    """Return the number of a budget, or NO_BUDGET; ValueError for anything else."""
    return text if text == NO_BUDGET else float(text)


def parse_names(texts: Iterable[str]) -> list[str] | None:
    """Return the names of a flag that may be repeated or hold several; None without one."""
    names = [name.strip() for text in texts for name in text.split(",")]
    return [name for name in names if name] or None


def parse_recalls(texts: Iterable[str]) -> list[dict[str, Any]] | None:
    """Return the values of --min-recall, such as `melanoma=0.9`; None without one."""
    recalls = []
    for text in texts:
        # From the right, since the name of a class may hold the sign.
        name, _, share = text.rpartition("=")
        try:
            recalls.append({"name": name, "recall": float(share)})
        except ValueError:
            name = ""
        if not name:
            raise ConfigError(
                f"--min-recall: expected CLASS=SHARE, such as melanoma=0.9, not {text}"
            )
    return recalls or None
