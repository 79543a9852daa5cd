"""The run that a user names: by its folder, by a part of it, or in words."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from resomap.errors import ConfigError
from resomap.status.jobs import JobKey
from resomap.text import format_count
from resomap.workflow.artifacts import RUN_FOLDER, RUN_PATH
from resomap.workflow.layout import STAGE_OF

MOST_NAMES = 3
RUNS_FOLDER = Path(RUN_FOLDER.removesuffix(RUN_PATH))
ANY_RUN = RUN_PATH.format(family="*", model="*", resolution="*", seed="*")


def find_run(text: str, directory: Path) -> tuple[Path, str]:
    """Return the directory of the sweep and the name of the run that `text` means.

    `text` is a folder such as `results/runs/custom/tiny_cnn/r48/seed0`, or a part of it, as
    `tiny_cnn/r48/seed0`, or words, as `tiny_cnn 48 px seed 0`. ConfigError lists the nearest.
    """
    before, runs, inside = text.partition(str(RUNS_FOLDER))
    if runs:
        directory, text = directory / before, inside
    names = list_runs(directory)
    matching = [name for name in names if _is_named(name, text)]
    if len(matching) == 1:
        return directory, matching[0]
    if matching:
        raise ConfigError(
            f"{text!r} is {format_count(len(matching), 'run')}: {_some(matching)}"
        )
    place = directory / RUNS_FOLDER
    if not names:
        raise ConfigError(
            f"{place}: no run is there; give the sweep's directory by --directory"
        )
    close = get_close_matches(text.strip("/"), names, n=MOST_NAMES, cutoff=0.0)
    raise ConfigError(f"{text!r} is no run in {place}; the nearest are {', '.join(close)}")


def list_runs(directory: Path) -> list[str]:
    """Return the names of all runs that began: `custom/tiny_cnn/r48/seed0`."""
    folder = directory / RUNS_FOLDER
    names = {path.relative_to(folder).as_posix() for path in folder.glob(ANY_RUN)}
    # A training that failed has a log and no results.
    logs, _, _ = STAGE_OF["train"].log.partition("{")
    for path in (directory / logs).glob(f"{ANY_RUN}.log"):
        names.add(path.relative_to(directory / logs).with_suffix("").as_posix())
    return sorted(names, key=read_run_key)


def read_run_key(name: str) -> JobKey:
    """Return the key of the run `custom/tiny_cnn/r48/seed0`."""
    family, model, resolution, seed = name.split("/")
    return JobKey(
        family, model, int(resolution.removeprefix("r")), int(seed.removeprefix("seed"))
    )


def _is_named(name: str, text: str) -> bool:
    """Return whether `text` is this run: whole parts of its folder in order, or its words."""
    key = read_run_key(name)
    named = " ".join(text.strip("/ ").split())
    short = f"{key.model}@{key.resolution}"
    words = (str(key), f"{key.model} {key.resolution}", short, f"{short} seed {key.seed}")
    return f"/{named}/" in f"/{name}/" or named in words


def _some(names: Iterable[str]) -> str:
    first = list(names)[:MOST_NAMES]
    others = len(list(names)) - len(first)
    return ", ".join(first) + (f" and {others:,} more" if others else "")
