"""Train a run and publish its results, or publish those that a killed process has finished."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from resomap.config.schema import Runtime
from resomap.system.files import write_json, write_rows, write_text
from resomap.system.gpus import device_memory_mib, peak_memory_mib
from resomap.training.checkpoint import save_weights
from resomap.training.distributed import Group
from resomap.training.fit import HISTORY_COLUMNS, Outcome
from resomap.training.run import RunPaths, RunSetup, train_run
from resomap.training.states import StagedResults

LOG_FILE = "log.txt"


class RunOutputs(NamedTuple):
    """The published files of a run, and the folder of its state."""

    weights: Path
    history: Path
    timing: Path
    metrics: Path
    state: Path


def train_and_publish(
    setup: RunSetup,
    outputs: RunOutputs,
    fingerprint: str,
    record: dict[str, Any],
    runtime: Runtime,
    group: Group,
    device: torch.device,
) -> None:
    """Write `outputs` unless a process with the same `fingerprint` has finished: then publish its results.

    `record` is the part of metrics.json that is known before the training: job and environment.
    Only the leading process of the group writes.
    """
    weights, history, timing, metrics, state = outputs
    published = (weights, history, timing, metrics, state / LOG_FILE)
    results = StagedResults(state / "done", fingerprint, published)
    if not group.broadcast(results.is_finished):
        paths = RunPaths(weights.parent, metrics.parent / "tensorboard", state, fingerprint)
        outcome, settings = train_run(setup, paths, runtime, group, device)
        if group.is_leader:
            _stage(results, setup, outcome, {**record, **settings}, device)
    elif group.is_leader:
        print((results.folder / LOG_FILE).read_text(encoding="utf-8"), file=sys.stderr)
    if group.is_leader:
        results.publish()


def _stage(
    results: StagedResults,
    setup: RunSetup,
    outcome: Outcome,
    record: dict[str, Any],
    device: torch.device,
) -> None:
    metadata = {
        "status": outcome.status,
        "model": setup.architecture.name,
        "resolution": setup.resolution,
    }
    memory_mib = device_memory_mib(device)
    with results.writing() as (weights, history, timing, metrics, log):
        save_weights(weights, outcome.weights, metadata)
        write_rows(history, outcome.history, HISTORY_COLUMNS)
        write_json(timing, {**outcome.timing(), "peak_memory_mib": peak_memory_mib(device)})
        write_json(metrics, {**record, **outcome.metrics(), "device_memory_mib": memory_mib})
        write_text(log, "".join(f"{line}\n" for line in outcome.log_lines))
