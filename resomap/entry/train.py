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
from resomap.training.distributed import Group, joined, relaunch
from resomap.training.fit import HISTORY_COLUMNS
from resomap.training.precision import use_float32
from resomap.training.results import Results
from resomap.training.run import Places, Setup, train_run
from resomap.training.states import fingerprint
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
    """Write the best weights, their scores, one row an epoch, and what it took; `state` keeps what a killed training had reached."""
    relaunch(runtime.gpus, job.device)
    with (
        joined(open_device(job.device, threads)) as (group, device),
        hold_lock(state / "lock", str(state)) if group.leads else nullcontext(),
    ):
        use_float32()
        keep_freed_memory()
        torch.backends.cudnn.benchmark = runtime.cudnn_benchmark
        mark = fingerprint(
            job.to_json(), [data, *job.training.start_files], device.type, group.world
        )
        results = Results(
            state / "done", mark, (weights, history, timing, metrics, state / "log.txt")
        )
        if group.share(results.finished):
            print(
                (results.folder / "log.txt").read_text(encoding="utf-8") if group.leads else "",
                file=sys.stderr,
            )
        else:
            train(
                job,
                data,
                results,
                Places(weights.parent, metrics.parent / "tensorboard", state, mark),
                runtime,
                group,
                device,
            )
        if group.leads:
            results.publish()


def train(
    job: Train,
    data: Path,
    results: Results,
    places: Places,
    runtime: Runtime,
    group: Group,
    device: torch.device,
) -> None:
    """Train, and let the leader write what came of it."""
    setup = Setup(job.training, job.architecture, job.resolution, job.seed, open_store(data))
    outcome, how = train_run(setup, places, runtime, group, device)
    if not group.leads:
        return
    about = {
        **describe_environment(device_name(device)),
        "precision": job.training.precision,
        "processes": group.world,
    }
    told = {**outcome.told(), **how, "device_memory_mib": device_memory_mib(device)}
    with results.writing() as (weights, history, timing, metrics, log):
        save_weights(
            weights,
            outcome.weights,
            {
                "status": outcome.status,
                "model": job.architecture.name,
                "resolution": job.resolution,
            },
        )
        write_rows(history, outcome.history, HISTORY_COLUMNS)
        write_json(timing, {**outcome.cost(), "peak_memory_mib": peak_memory_mib(device)})
        write_json(metrics, {"job": job.model_dump(mode="json"), **told, "environment": about})
        write_text(log, "".join(f"{line}\n" for line in outcome.log))


if __name__ == "__main__":
    run_entry_point(main)
