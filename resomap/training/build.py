"""The loaders and the trainer of a recipe."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from resomap.config.architecture import Architecture
from resomap.config.schema import Execution, Runtime
from resomap.config.training import Training
from resomap.data.loading.augment import Normalise
from resomap.data.loading.loader import (
    EvalLoader,
    TrainLoader,
    to_device,
)
from resomap.data.loading.mixing import Mixing
from resomap.data.loading.native_crops import NativeCrops
from resomap.data.loading.placement import place_images
from resomap.data.store.store import Store
from resomap.models.classifier import find_classifier
from resomap.models.flow import STRUCTURE_SIDE
from resomap.models.registry import build_model
from resomap.models.regularisation import Regularisation
from resomap.training.distributed import Group
from resomap.training.finetune import Freezing, rate_scales
from resomap.training.initial_weights import StartRecord, load_initial_weights
from resomap.training.memory import in_pieces_within_memory
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.trainer import Trainer

OnStart = Callable[[StartRecord], None]
"""Receives what a network started from, where its weights are not random."""
VAL_BATCH_FACTOR = 4  # a batch of validation over one of training: no activations are kept


def build_loaders(
    recipe: Training,
    store: Store,
    resolution: int,
    seed: int,
    runtime: Runtime,
    group: Group,
    device: torch.device,
) -> tuple[TrainLoader, EvalLoader]:
    """Return the training and validation loaders of `store` at `resolution`.

    The images are placed as near to `device` as they fit: on it, in memory, or read from disk.
    """
    normalise = Normalise(store.mean, store.std, device)
    native = None
    if recipe.augmentation.crops_native:
        images = place_images(store.native_images(), device)
        rows = torch.from_numpy(np.array(store.rows("train")))
        native = NativeCrops(rows, resolution, store.filter)
    else:
        images = place_images(store.images("train", resolution), device)
    val_images = place_images(store.images("val", resolution), device)
    pin_memory = runtime.pin_memory and device.type == "cuda"
    labels = to_device(store.labels("train"), device)
    val_labels = to_device(store.labels("val"), device)
    # Worker threads hide the time of reading and copying; on a GPU there is none to hide. By
    # type: images lie on cuda:0 where the device is plain cuda.
    is_resident = isinstance(images, Tensor) and images.device.type == device.type
    train = TrainLoader(
        images,
        labels,
        normalise,
        recipe.batch_size,
        seed,
        recipe.augmentation,
        sampling=recipe.sampling,
        rank=group.rank,
        world=group.world_size,
        num_workers=0 if is_resident else runtime.num_workers,
        pin_memory=pin_memory,
        within_memory=in_pieces_within_memory,
        mixing=_build_mixing(recipe, store.num_classes),
        native=native,
    )
    val_batch = VAL_BATCH_FACTOR * recipe.batch_size
    val = EvalLoader(val_images, val_labels, normalise, val_batch, pin_memory=pin_memory)
    return train, val


def _build_mixing(recipe: Training, num_classes: int) -> Mixing | None:
    if recipe.mixup is None and recipe.cutmix is None:
        return None
    return Mixing(recipe.mixup, recipe.cutmix, num_classes)


def build_trainer(
    recipe: Training,
    architecture: Architecture,
    seed: int,
    store: Store,
    train: TrainLoader,
    val: EvalLoader,
    device: torch.device,
    group: Group,
    execution: Execution = "eager",
    resolution: int | None = None,
    on_start: OnStart = lambda _: None,
) -> Trainer:
    """Return the trainer of `recipe` for a network whose initial weights follow from `seed`.

    A network whose weights depend on the size of the images is built for `resolution`.
    """
    torch.manual_seed(seed)  # the same weights in every process
    regularisation = Regularisation(recipe.dropout, recipe.drop_path)
    model = build_model(architecture, store.num_classes, resolution, regularisation)
    side, classifier = resolution or STRUCTURE_SIDE, frozenset[str]()
    if recipe.uses_classifier:
        classifier = find_classifier(architecture, store.num_classes, side, regularisation)
    record = load_initial_weights(model, architecture, recipe.start, classifier)
    if record is not None:
        on_start(record)
    # Convolutions run faster on NHWC, and the loader yields that format already. Converted
    # before the optimizer is built, because its state takes the memory format of the
    # parameters.
    model = model.to(device).to(memory_format=torch.channels_last)
    torch.manual_seed(seed + group.rank)  # dropout differs between the processes
    freezing = Freezing(model, recipe.finetune, side, classifier)
    if freezing.is_lasting:
        freezing.apply(model, 0)  # the optimizer leaves out what needs no gradient
    scales = rate_scales(model, recipe.finetune, side, classifier)
    optimizer = build_optimizer(recipe.optimizer, model, scales)
    schedule = build_schedule(
        recipe.schedule, optimizer, len(train), recipe.epochs, recipe.monitor
    )
    return Trainer(
        model,
        device,
        build_criterion(recipe, store),
        optimizer,
        train,
        val,
        gradient_clip_norm=recipe.clip_norm,
        scheduler=schedule,
        precision=recipe.precision,
        micro_batch=recipe.micro_batch,
        ema_decay=recipe.ema_decay,
        # Without smoothing and class weights, so that val_loss compares between recipes.
        val_criterion=nn.CrossEntropyLoss(),
        # Without it, a resumed training would draw other dropout masks than one without a stop.
        seed=seed,
        group=group,
        execution=execution,
        freezing=freezing,
    )


def build_criterion(recipe: Training, store: Store) -> nn.Module:
    """Return the loss of `recipe`: cross-entropy, smoothed and weighted by class as it says."""
    weights = None
    if recipe.class_weights:
        labels = torch.from_numpy(np.array(store.labels("train")))
        weights = class_weights(labels, store.num_classes)
    return nn.CrossEntropyLoss(weight=weights, label_smoothing=recipe.label_smoothing)


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Return weights (C,) inverse to the class counts, of mean 1 over the images.

    These are scikit-learn's `balanced`: n / (C * count).
    """
    counts = torch.bincount(labels, minlength=num_classes)
    return len(labels) / (num_classes * counts.clamp(min=1).float())
