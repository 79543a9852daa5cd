"""Train one run: one network, one resolution, one seed."""

from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from resomap.data.store import Store, open_store
from resomap.devices import device_name, open_device, peak_memory_mib
from resomap.entry.arguments import run
from resomap.files import write_json, write_rows
from resomap.jobs import Train
from resomap.provenance import environment
from resomap.sections import Runtime
from resomap.training.build import build_loaders, build_trainer
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.checkpoint import save_weights
from resomap.training.distributed import Group, joined, relaunch
from resomap.training.events import events_into
from resomap.training.fit import HISTORY_COLUMNS, Outcome, fit
from resomap.training.precision import use_float32


def main(job: Train, data: Path, weights: Path, metrics: Path, history: Path, timing: Path, runtime: Runtime, threads: int) -> None:
    """Write the best weights, their scores, one row an epoch, and what it took."""
    relaunch(runtime.gpus)
    with joined(open_device(job.device, threads)) as (group, device):
        use_float32()
        torch.backends.cudnn.benchmark = runtime.cudnn_benchmark
        started = perf_counter()
        outcome = train(job, open_store(data), weights.parent, metrics.parent, runtime, group, device)
        seconds = perf_counter() - started
        if not group.leads:
            return
    seen = sum(rates["epoch_seconds"] * rates["images_per_second"] for rates in outcome.rates)
    write_rows(history, outcome.history, HISTORY_COLUMNS)
    cost = {"train_seconds": seconds, "train_images_per_second": seen / seconds, "peak_memory_mib": peak_memory_mib(device)}
    write_json(timing, {**cost, "epochs": outcome.rates})
    save_weights(weights, outcome.weights, {"status": outcome.status, "model": job.architecture.name, "resolution": job.resolution})
    about = {**environment(device_name(device)), "precision": job.training.precision, "processes": group.world}
    write_json(metrics, {"job": job.model_dump(mode="json"), "status": outcome.status, "scores": outcome.scores, "environment": about})


def train(job: Train, store: Store, kept: Path, events: Path, runtime: Runtime, group: Group, device: torch.device) -> Outcome:
    """One training; its best epochs lie in `kept`, its event files under `events`."""
    recipe, stop = job.training, job.training.early_stopping
    train_loader, val_loader = build_loaders(recipe, store, job.resolution, job.seed, runtime, group, device)
    trainer = build_trainer(recipe, job.architecture, job.seed, store, train_loader, val_loader, device, group)
    checkpoint = ModelCheckpoint(kept, recipe.monitor.name, recipe.monitor.mode, recipe.save_top_k, recipe.save_optimizer)
    if group.leads:
        checkpoint.clear()
    early_stopping = stop and EarlyStopping(stop.patience, stop.warmup_epochs, recipe.monitor.mode, stop.min_delta)
    with events_into(events / "tensorboard" if runtime.tensorboard and group.leads else None) as on_epoch:
        parts: dict[str, Any] = {"early_stopping": early_stopping, "checkpoint": checkpoint, "on_epoch": on_epoch}
        return fit(trainer, recipe.epochs, recipe.monitor, resolution=job.resolution, **parts)


if __name__ == "__main__":
    run(main)
