"""Train one run: one network, one resolution, one seed."""

import sys
from contextlib import nullcontext
from pathlib import Path

import torch

from resomap.config.schema import Runtime
from resomap.data.store.store import open_store
from resomap.entry.arguments import run_entry_point
from resomap.system.files import write_json, write_rows, write_text
from resomap.system.gpus import (
    device_memory_mib,
    device_name,
    keep_freed_memory,
    open_device,
    peak_memory_mib,
)
from resomap.system.locks import hold_lock
from resomap.training.checkpoint import save_weights
from resomap.training.distributed import Group, join_group, relaunch_with_torchrun
from resomap.training.fit import HISTORY_COLUMNS
from resomap.training.precision import use_float32
from resomap.training.run import RunPaths, RunSetup, train_run
from resomap.training.states import StagedResults, compute_fingerprint
from resomap.workflow.code_digest import describe_environment
from resomap.workflow.jobs import Train


def main(
    job: Train,
    data: Path,
    weights: Path,
    metrics: Path,
    history: Path,
    timing: Path,
    state: Path,
    runtime: Runtime,
    threads: int,
) -> None:
    """Write the best weights, their scores, the history and the times; `state` survives a kill."""
    relaunch_with_torchrun(runtime.gpus, job.device)
    with (
        join_group(open_device(job.device, threads)) as (group, device),
        hold_lock(state / "lock", str(state)) if group.is_leader else nullcontext(),
    ):
        use_float32()
        keep_freed_memory()
        torch.backends.cudnn.benchmark = runtime.cudnn_benchmark
        files = [data, *job.training.start_files]
        mark = compute_fingerprint(job.to_json(), files, device.type, group.world_size)
        outputs = (weights, history, timing, metrics, state / "log.txt")
        results = StagedResults(state / "done", mark, outputs)
        if not group.broadcast(results.is_finished):
            paths = RunPaths(weights.parent, metrics.parent / "tensorboard", state, mark)
            train(job, data, results, paths, runtime, group, device)
        elif group.is_leader:
            print((results.folder / "log.txt").read_text(encoding="utf-8"), file=sys.stderr)
        if group.is_leader:
            results.publish()


def train(
    job: Train,
    data: Path,
    results: StagedResults,
    paths: RunPaths,
    runtime: Runtime,
    group: Group,
    device: torch.device,
) -> None:
    """Train, and stage the results in the leading process."""
    setup = RunSetup(job.training, job.architecture, job.resolution, job.seed, open_store(data))
    outcome, settings = train_run(setup, paths, runtime, group, device)
    if not group.is_leader:
        return
    record = {
        "job": job.model_dump(mode="json"),
        **outcome.metrics(),
        **settings,
        "device_memory_mib": device_memory_mib(device),
        "environment": {
            **describe_environment(device_name(device)),
            "precision": job.training.precision,
            "processes": group.world_size,
        },
    }
    described = {"model": job.architecture.name, "resolution": job.resolution}
    with results.writing() as (weights, history, timing, metrics, log):
        save_weights(weights, outcome.weights, {"status": outcome.status, **described})
        write_rows(history, outcome.history, HISTORY_COLUMNS)
        write_json(timing, {**outcome.timing(), "peak_memory_mib": peak_memory_mib(device)})
        write_json(metrics, record)
        write_text(log, "".join(f"{line}\n" for line in outcome.log_lines))


if __name__ == "__main__":
    run_entry_point(main)
