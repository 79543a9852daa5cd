"""Train one run: one network, one resolution, one seed."""

from pathlib import Path
from time import perf_counter

import torch

from resomap.data.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.data.store import open_store
from resomap.devices import device_name, open_device, peak_memory_mib
from resomap.entry.arguments import run
from resomap.files import write_json, write_rows
from resomap.jobs import Train
from resomap.models.registry import build_model
from resomap.provenance import environment
from resomap.training.checkpoint import save_weights
from resomap.training.optimizers import build_optimizer
from resomap.training.precision import use_float32
from resomap.training.schedules import build_schedule
from resomap.training.trainer import HISTORY_COLUMNS, Trainer


def main(job: Train, data: Path, weights: Path, metrics: Path, history: Path, timing: Path, threads: int) -> None:
    """Write the best weights, their scores, one row an epoch, and what it took."""
    device = open_device(job.device, threads)
    use_float32()
    store, recipe = open_store(data), job.training
    normalise = Normalise(store.mean, store.std, device)
    images, labels = (to_device(array, device) for array in (store.images("train", job.resolution), store.labels("train")))
    val_images, val_labels = (to_device(array, device) for array in (store.images("val", job.resolution), store.labels("val")))
    train = TrainLoader(images, labels, normalise, recipe.batch_size, job.seed, recipe.augmentation)

    torch.manual_seed(job.seed)
    model = build_model(job.architecture, num_classes=len(store.classes)).to(device).to(memory_format=torch.channels_last)
    optimizer = build_optimizer(recipe.optimizer, model)
    schedule = build_schedule(recipe.schedule, optimizer, len(train), recipe.epochs)
    trainer = Trainer(model, optimizer, schedule, label_smoothing=recipe.label_smoothing, monitor=recipe.monitor)

    started = perf_counter()
    outcome = trainer.fit(train, EvalLoader(val_images, val_labels, normalise, 4 * recipe.batch_size), recipe.epochs)
    seconds = perf_counter() - started

    seen = len(images) * len(outcome.history)
    write_rows(history, outcome.history, HISTORY_COLUMNS)
    cost = {"train_seconds": seconds, "train_images_per_second": seen / seconds, "peak_memory_mib": peak_memory_mib(device)}
    write_json(timing, cost)
    save_weights(weights, outcome.weights, {"status": outcome.status, "model": job.architecture.name, "resolution": job.resolution})
    about = {**environment(device_name(device)), "precision": recipe.precision}
    write_json(metrics, {"job": job.model_dump(mode="json"), "status": outcome.status, "scores": outcome.scores, "environment": about})


if __name__ == "__main__":
    run(main)
