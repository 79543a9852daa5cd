"""A suggested configuration for a dataset: decide, measure the steps, and fit the time."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isinf
from time import monotonic
from typing import Any

from resomap.analysis.decision.outlook import SweepSize
from resomap.config.load import build_config, merge, shipped_values
from resomap.config.report import Report
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.suggest.estimate import MeasuredCells, measure
from resomap.suggest.find_images import data_section, find_images
from resomap.suggest.grid import Fixed, Grid, fit_grid, smallest_grid
from resomap.suggest.recipe import suggest_batch_size, suggest_epochs
from resomap.suggest.resolutions import LARGEST_ON_CPU, suggest_resolutions
from resomap.suggest.seeds import suggest_seeds
from resomap.suggest.settings import PRETRAINED, RANDOM, UserSettings
from resomap.suggest.summary import SIDES, DatasetSummary, summarise
from resomap.suggest.values import sweep_values
from resomap.suggest.weights import (
    PREFERRED,
    agreed_filter,
    any_batch_norm,
    check_given_start,
    models_at_hand,
    suggest_random,
)
from resomap.text import format_duration
from resomap.workflow.resources import gpus_per_job
from resomap.workflow.targets import swept_models

MOST_DOWNLOADED = 3
"""Models that are suggested where pretrained weights are requested and none are here."""
Log = Callable[[str], None]


@dataclass(frozen=True)
class Suggestion:
    """What is suggested, and what the reasons for it are made from.

    `full` is the grid without a limit of time, `grid` the one that fits it. `at_hand` holds
    the models whose published weights lie on this machine. `was_busy` is whether other work
    made the measured steps slower.
    """

    settings: UserSettings
    summary: DatasetSummary
    values: dict[str, Any]
    config: Config
    full: Grid
    grid: Grid
    at_hand: tuple[str, ...]
    seconds: float
    full_seconds: float
    workers: int
    was_busy: bool = False

    @property
    def start(self) -> Any:
        """Return the initial weights, as the configuration says it."""
        return self.values["training"].get("start", RANDOM)

    def size(self, grid: Grid) -> SweepSize:
        """Return the numbers of a grid on which it depends what can be detected."""
        return SweepSize(grid.cells, grid.seeds, self.summary.val, self.summary.test)


def suggest_sweep(settings: UserSettings, log: Log) -> Suggestion:
    """Return the suggestion for the images of the user, whose sweep fits `settings.minutes`.

    The minutes begin with this call. ConfigError where no sweep fits, or an answer is wrong.
    """
    began = monotonic()
    _check_start(settings)
    data = merge(_find_data(settings), settings.own.get("data", {}))
    log(f"reading the images of {data.get('path', data['dataset'])}")
    summary = summarise(data_section(data), os.cpu_count() or 1)
    if summary.bad:
        data.setdefault("on_bad_image", "skip")
    at_hand, start, models = _choose_models(settings, summary)
    full = _full_grid(settings, summary, models, start)
    base = {"data": {**data, **_filter_values(settings, full, start)}}
    base |= _report_values(settings)
    freeze_bn = start == RANDOM or _has_batch_norm(settings, full)
    batch_size = suggest_batch_size(summary.train) if summary.kept else None

    def values_of(grid: Grid) -> dict[str, Any]:
        swept = sweep_values(grid, batch_size, start, freeze_bn=freeze_bn)
        return merge(merge(base, swept), settings.own)

    measured = measure(build_config(values_of(full)), log)
    left = 60 * settings.minutes - (monotonic() - began)
    grid = _fit(settings, full, measured, left)
    values = values_of(grid)
    return Suggestion(
        settings,
        summary,
        values,
        build_config(values),
        full,
        grid,
        at_hand,
        measured.seconds(grid),
        measured.seconds(full),
        measured.capacity.workers,
        measured.was_busy,
    )


def _check_start(settings: UserSettings) -> None:
    """Refuse a file of weights that does not fit, before images are read and steps measured."""
    start, models = settings.given("training", "start"), settings.given("sweep", "models")
    if start in (None, RANDOM, PRETRAINED) or not models:
        return
    # Every network can be built for the largest suggested resolution.
    sides = settings.given("sweep", "resolutions") or [LARGEST_ON_CPU]
    check_given_start(_with_start(settings, models, start), min(sides))


def _with_start(settings: UserSettings, models: Sequence[str], start: Any) -> Config:
    """Return the configuration of the user with these models and initial weights."""
    values = {"sweep": {"models": list(models)}, "training": {"start": start}}
    return build_config(merge(settings.own, values))


def _filter_values(settings: UserSettings, grid: Grid, start: Any) -> dict[str, str]:
    """Return `filter` where all weights agree on another than the shipped one."""
    config = _with_start(settings, grid.models, start)
    agreed = agreed_filter(swept_models(config), config.training.start)
    return {} if agreed in (None, config.data.filter) else {"filter": agreed}


def _find_data(settings: UserSettings) -> Mapping[str, Any]:
    own = settings.own.get("data", {})
    if settings.images is None and own:
        return {}
    return find_images(settings.images)


def _choose_models(
    settings: UserSettings, summary: DatasetSummary
) -> tuple[tuple[str, ...], Any, list[str]]:
    """Return the models at hand, the initial weights, and the models of the sweep."""
    start, models = settings.given("training", "start"), settings.given("sweep", "models")
    if not summary.kept:  # the reef is known to suit the shipped networks
        return (), start or RANDOM, models or list(shipped_values()["sweep"]["models"])
    known = build_config(settings.own).models
    at_hand = tuple(models_at_hand(known)) if start in (None, PRETRAINED) else ()
    if start is None:
        named = set(models or at_hand)
        start = PRETRAINED if named and named <= set(at_hand) else RANDOM
    if models:
        return at_hand, start, list(models)
    if start == RANDOM:
        return at_hand, start, suggest_random(summary.train)
    if start == PRETRAINED:
        return at_hand, start, list(at_hand or PREFERRED[:MOST_DOWNLOADED])
    raise ConfigError("--start: a file holds the weights of one network: name it by --models")


def _full_grid(
    settings: UserSettings, summary: DatasetSummary, models: list[str], start: Any
) -> Grid:
    """Return the grid without a limit of time."""
    sides = settings.given("sweep", "resolutions") or _suggest_sides(summary, start)
    epochs = settings.given("training", "epochs")
    if epochs is None and summary.kept:
        epochs = suggest_epochs(summary.train, pretrained=start != RANDOM)
    rules = _rules(settings)
    size = SweepSize(len(models) * len(sides), 1, summary.val, summary.test)
    seeds = settings.given_seeds() or suggest_seeds(size, rules.margin, rules.confidence)
    epochs = epochs or shipped_values()["training"]["epochs"]
    return Grid(tuple(models), tuple(sorted(sides)), seeds, epochs)


def _has_batch_norm(settings: UserSettings, grid: Grid) -> bool:
    sweep = {"sweep": {"models": list(grid.models)}}
    networks = swept_models(build_config(merge(sweep, settings.own)))
    return any_batch_norm(networks, grid.resolutions[0])


def _suggest_sides(summary: DatasetSummary, start: Any) -> list[int]:
    if not summary.kept:
        return list(shipped_values()["sweep"]["resolutions"])
    on_gpu = bool(gpus_per_job(build_config({})))
    most = SIDES[-1] if on_gpu else LARGEST_ON_CPU
    pretrained = start != RANDOM
    return suggest_resolutions(summary.native, summary.kept, most, pretrained=pretrained)


def _rules(settings: UserSettings) -> Report:
    return build_config(merge(_report_values(settings), settings.own)).report


def _report_values(settings: UserSettings) -> dict[str, Any]:
    """Return the section `report` with the flags; nothing where none is given."""
    flags = {"margin": settings.margin, "max_latency_ms": settings.max_latency_ms}
    given = {name: value for name, value in flags.items() if value is not None}
    return {"report": given} if given else {}


def _fit(settings: UserSettings, full: Grid, measured: MeasuredCells, seconds: float) -> Grid:
    """Return the nearest grid that fits; ConfigError with the minutes that the smallest takes."""
    fixed = Fixed(
        models=bool(settings.given("sweep", "models")),
        resolutions=bool(settings.given("sweep", "resolutions")),
        seeds=bool(settings.given_seeds()),
        epochs=bool(settings.given("training", "epochs")),
    )
    grid = fit_grid(full, fixed, measured.seconds, seconds)
    if grid is not None:
        return grid
    smallest = measured.seconds(smallest_grid(full, fixed, measured.seconds))
    if isinf(smallest):
        raise ConfigError("no cell of the sweep fits into the memory of this machine")
    spent = 60 * settings.minutes - seconds
    needed = ceil((smallest + spent) / 60)
    raise ConfigError(
        f"--minutes {settings.minutes:g}: the smallest sweep of these images takes about "
        f"{format_duration(smallest)} on this machine: give --minutes {needed}"
    )
