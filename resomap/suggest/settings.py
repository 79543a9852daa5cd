"""What the user has decided: flags of the command, and keys of an own configuration file."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resomap.config.load import build_config, merge, read_yaml
from resomap.errors import ConfigError

NOT_REPEATED = ("images", "output", "force", "no_open")
"""Flags that do not change what is suggested."""
PRETRAINED, RANDOM = "pretrained", "random"


@dataclass(frozen=True)
class UserSettings:
    """The settings of a user; None or nothing where a value is to be suggested.

    `minutes` is the time that the sweep may take, and `own` holds the values of the user's own
    files, which are kept as they are.
    """

    images: Path | None
    minutes: float
    models: Sequence[str] = ()
    resolutions: Sequence[int] = ()
    seeds: int | None = None
    epochs: int | None = None
    start: str | None = None
    margin: float | None = None
    max_latency_ms: float | None = None
    own: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for flag, value in (
            ("--minutes", self.minutes),
            ("--seeds", self.seeds),
            ("--epochs", self.epochs),
            ("--resolutions", min(self.resolutions, default=None)),
        ):
            if value is not None and not value > 0:
                raise ConfigError(f"{flag}: {value:g} is too few: give a number above 0")

    def given(self, section: str, key: str) -> Any:
        """Return a value of the user: of the flag, else of the own files; None without one."""
        flag = getattr(self, key, None)
        if flag:
            return flag
        values = self.own.get(section)
        return values.get(key) if isinstance(values, Mapping) else None

    def given_seeds(self) -> int | None:
        """Return the number of seeds of the user; None without one."""
        seeds = self.given("sweep", "seeds")
        return len(seeds) if isinstance(seeds, Sequence) else seeds


def split_words(words: Sequence[str] | None) -> list[str]:
    """Return the values of a flag that may be repeated, or hold several between commas."""
    values = [word.strip() for text in words or () for word in text.split(",")]
    return [value for value in values if value]


def parse_sides(words: Sequence[str] | None) -> list[int]:
    """Return resolutions in ascending order; ConfigError for a word that is no number."""
    sides = split_words(words)
    wrong = [side for side in sides if not side.isdecimal()]
    if wrong:
        raise ConfigError(f"--resolutions: {wrong[0]!r} is no side in pixels, such as 96")
    return sorted({int(side) for side in sides})


def read_settings(flags: Mapping[str, Any]) -> UserSettings:
    """Return the settings from the flags of a command, and from the files of --configfile."""
    own: dict[str, Any] = {}
    for path in flags["configfile"] or ():
        own = merge(own, read_yaml(path))
    if own:
        build_config(own)  # the user's mistakes, before anything is measured
    return UserSettings(
        flags["images"],
        flags["minutes"],
        split_words(flags["models"]),
        parse_sides(flags["resolutions"]),
        flags["seeds"],
        flags["epochs"],
        flags["start"],
        flags["margin"],
        flags["max_latency_ms"],
        own,
    )


def show_command(name: str, flags: Mapping[str, Any], default_minutes: float) -> str:
    """Return the command with the flags that are given, to be repeated."""
    words = ["resomap", name]
    if flags.get("images") is not None:
        words.append(str(flags["images"]))
    for flag, value in flags.items():
        is_default = flag == "minutes" and value == default_minutes
        if flag in NOT_REPEATED or is_default or value is None or value == []:
            continue
        for each in value if isinstance(value, list) else [value]:
            number = f"{each:g}" if isinstance(each, float) else str(each)
            words += [f"--{flag.replace('_', '-')}", number]
    return shlex.join(words)
