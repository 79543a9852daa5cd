"""From a recipe to its loaders and its trainer."""

import numpy as np
import torch
from torch import Tensor, nn

from resomap.config.schema import Architecture, Runtime
from resomap.config.training import Training
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.data.loading.placement import place_images
from resomap.data.store.store import Store
from resomap.models.registry import build_model
from resomap.training.distributed import Group
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.start import class_weights, load_start
from resomap.training.trainer import Trainer


def build_loaders(
    recipe: Training,
    store: Store,
    resolution: int,
    seed: int,
    runtime: Runtime,
    group: Group,
    device: torch.device,
) -> tuple[TrainLoader, EvalLoader]:
    """Training and validation pictures of `store` at `resolution`, as near to `device` as they fit."""
    normalise = Normalise(store.mean, store.std, device)
    pictures, val = (
        place_images(store.images(split, resolution), device, runtime.pin_memory)
        for split in ("train", "val")
    )
    labels, val_labels = (to_device(store.labels(split), device) for split in ("train", "val"))
    workers = (
        0 if isinstance(pictures, Tensor) and pictures.device == device else runtime.num_workers
    )
    place = {"rank": group.rank, "world": group.world, "num_workers": workers}
    train = TrainLoader(
        pictures,
        labels,
        normalise,
        recipe.batch_size,
        seed,
        recipe.augmentation,
        sampling=recipe.sampling,
        **place,
    )
    return train, EvalLoader(val, val_labels, normalise, 4 * recipe.batch_size)


def build_trainer(
    recipe: Training,
    architecture: Architecture,
    seed: int,
    store: Store,
    train: TrainLoader,
    val: EvalLoader,
    device: torch.device,
    group: Group,
) -> Trainer:
    """The trainer of `recipe` for a network whose fresh weights follow from `seed`."""
    torch.manual_seed(seed)
    model = build_model(architecture, num_classes=store.num_classes)
    load_start(model, architecture, recipe.start)
    model = model.to(device).to(memory_format=torch.channels_last)
    torch.manual_seed(seed + group.rank)  # dropout: its own on every process
    optimizer = build_optimizer(recipe.optimizer, model)
    weights = (
        class_weights(torch.from_numpy(np.array(store.labels("train"))), store.num_classes)
        if recipe.class_weights
        else None
    )
    return Trainer(
        model,
        device,
        nn.CrossEntropyLoss(weight=weights, label_smoothing=recipe.label_smoothing),
        optimizer,
        train,
        val,
        gradient_clip_norm=recipe.clip_norm,
        scheduler=build_schedule(
            recipe.schedule, optimizer, len(train), recipe.epochs, recipe.monitor
        ),
        precision=recipe.precision,
        micro_batch=recipe.micro_batch,
        ema_decay=recipe.ema_decay,
        val_criterion=nn.CrossEntropyLoss(),  # without smoothing or weights: what is monitored means the same under every recipe
        group=group,
    )
