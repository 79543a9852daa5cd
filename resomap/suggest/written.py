"""Write a suggestion as a configuration file, after the checks that a sweep makes of it."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from resomap.check import check_recipe, check_size
from resomap.errors import ConfigError
from resomap.report.text.answer import INDENT
from resomap.suggest.describe import comments, given_up, suggestion_lines
from resomap.suggest.settings import PRETRAINED, UserSettings
from resomap.suggest.suggestion import Log, Suggestion, suggest_sweep
from resomap.suggest.yaml_file import write_suggestion
from resomap.text import format_count

OWN_FILE = Path("resomap.yaml")
"""File that `resomap run` reads by itself."""
GIVEN_UP = "Given up: "
"""Begin of the comment with what the time leaves out."""


class Written(NamedTuple):
    """A suggestion that was written, and the size of its sweep as a line."""

    suggestion: Suggestion
    size: str


def write_sweep(settings: UserSettings, output: Path, command: str, log: Log) -> Written:
    """Suggest a sweep for the images of the user and write it to `output`.

    ConfigError where no sweep fits the time, or the suggestion would be refused by a sweep.
    """
    suggestion = suggest_sweep(settings, log)
    size = check_suggestion(suggestion)
    head = "\n".join(file_head(suggestion, output, command))
    write_suggestion(output, suggestion.values, comments(suggestion), head)
    return Written(suggestion, size)


def check_suggestion(suggestion: Suggestion) -> str:
    """Return the size of the sweep as a line; nothing is downloaded.

    ConfigError for what `resomap check` would refuse.
    """
    size, problems = check_size(suggestion.config)
    downloads = suggestion.start == PRETRAINED
    if not (downloads and set(suggestion.grid.models) - set(suggestion.at_hand)):
        problems += check_recipe(suggestion.config).errors
    if problems:
        raise ConfigError("\n".join(problems))
    return size


def file_head(suggestion: Suggestion, output: Path, command: str) -> Iterator[str]:
    """Yield the comment above the file; its first line names the command."""
    yield first_line(command)
    images = format_count(suggestion.summary.images, "image")
    yield f"For {images}. Every other key has its value in config/README.md and may be added."
    yield f"Next: {run_command(output)}"
    yield from (f"{GIVEN_UP}{sentence}" for sentence in given_up(suggestion))


def first_line(command: str) -> str:
    """Return the first line of a file that a command writes, without the sign of a comment."""
    return f"Written by `{command}`"


def read_given_up(path: Path) -> list[str]:
    """Return what the time left out, from the head of a file of `resomap try`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    mark = f"# {GIVEN_UP}"
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


def is_written_by(path: Path, command: str) -> bool:
    """Return whether a file was written by this very command."""
    if not path.is_file():
        return False
    return path.read_text(encoding="utf-8").startswith(f"# {first_line(command)}\n")


def run_command(output: Path) -> str:
    """Return the command that runs the sweep of a file."""
    if output == OWN_FILE:
        return "resomap run"
    return f"resomap run --configfile {shlex.quote(str(output))}"


def result_lines(written: Written, output: Path) -> Iterator[str]:
    """Yield the decisions and the file."""
    yield from suggestion_lines(written.suggestion, written.size)
    yield f"{'Written':<{INDENT}}{output}"
