"""How long the next round takes, from the plan and from the rounds before it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from resomap.config.schema import Config
from resomap.rounds.policy import PlannedRun
from resomap.rounds.record import RoundsRecord
from resomap.status.remaining import (
    TimeKey,
    estimate_work,
    extrapolate,
    planned_seconds,
    recorded_seconds,
)
from resomap.workflow.layout import STAGE_OF

STAGES = ("train", "evaluate")


def estimate_round(runs: Sequence[PlannedRun], record: RoundsRecord, config: Config) -> float:
    """Return the estimated seconds of these runs; 0 where nothing is known of them.

    As many jobs run at once as in the rounds so far, one before the first.
    """
    measured = _measured(PlannedRun(*run) for one in record.rounds for run in one["runs"])
    known = planned_seconds(config) | {
        key: sum(values) / len(values) for key, values in measured.items()
    }
    keys = [TimeKey(stage, run.model, run.resolution) for run in runs for stage in STAGES]
    known |= extrapolate(keys, known)
    work = estimate_work([(key, 0.0) for key in keys], {}, known)
    spent = sum(sum(values) for values in measured.values())
    at_once = max(spent / record.seconds, 1.0) if record.seconds else 1.0
    return work.seconds / at_once


def _measured(runs: Iterable[PlannedRun]) -> dict[TimeKey, list[float]]:
    """Return the recorded seconds of finished jobs."""
    found: dict[TimeKey, list[float]] = {}
    for run in runs:
        for stage in STAGES:
            path = Path(STAGE_OF[stage].marker.format(**run._asdict()))
            seconds = recorded_seconds(stage, path) if path.exists() else None
            if seconds is not None:
                key = TimeKey(stage, run.model, run.resolution)
                found.setdefault(key, []).append(seconds)
    return found
