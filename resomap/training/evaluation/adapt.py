"""A trained network adapted to images of another size than it was trained on."""

import copy
from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from resomap.config.augmentation import Augmentation
from resomap.config.evaluation import FineTuning
from resomap.config.training import Training
from resomap.data.loading.augment import Normalise
from resomap.data.loading.loader import TrainLoader
from resomap.data.loading.placement import PlacedImages, take_images
from resomap.training.memory import MicroBatch, run_within_memory
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import LRSchedulerCallback
from resomap.training.trainer import Trainer

BatchNorm = nn.modules.batchnorm._BatchNorm
STATISTICS_BATCH = 128
NO_AUGMENTATION = Augmentation(
    horizontal_flip=0.0,
    random_resized_crop=None,
    rotation_degrees=0.0,
    color_jitter=None,
    blur=None,
    erasing=None,
    rand_augment=None,
    trivial_augment=False,
)


def has_statistics(model: nn.Module) -> bool:
    """Return whether `model` has BatchNorm layers with running statistics."""
    return any(
        isinstance(module, BatchNorm) and module.running_mean is not None
        for module in model.modules()
    )


def recalibrate(
    model: nn.Module, images: PlacedImages, normalise: Normalise, count: int | None = None
) -> nn.Module:
    """Return a copy of `model` with the BatchNorm statistics of `count` of `images`, or of all.

    The images are drawn at random, the same ones in every call.
    """
    network, micro_batch = copy.deepcopy(model), MicroBatch(STATISTICS_BATCH, minimum=2)
    # In random order: stored images may be sorted by class, and the variance inside a batch of
    # one class is too small. Of equal size: a small last batch would count as much as a full one.
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(images))[:count])

    def update() -> None:
        torch.manual_seed(0)  # dropout is on, as it was when the statistics were first taken
        update_bn(
            (
                normalise(take_images(images, index.to(images.device)).to(normalise.device))
                for index in order.tensor_split(micro_batch.num_pieces(len(order)))
            ),
            network,
        )

    run_within_memory(micro_batch, STATISTICS_BATCH, update)
    return network.eval()


def fine_tune(
    model: nn.Module,
    images: PlacedImages,
    labels: Tensor,
    normalise: Normalise,
    criterion: nn.Module,
    *,
    classifier: Collection[str],
    recipe: Training,
    settings: FineTuning,
    seed: int,
) -> nn.Module:
    """Return a copy of `model` whose BatchNorm and `classifier` are trained on `images`.

    FixRes (Touvron et al. 2019). `Infeasible` where not even one image fits into memory.
    """
    network = copy.deepcopy(model)
    freeze_features(network, classifier)
    loader = TrainLoader(
        images,
        labels,
        normalise,
        recipe.batch_size,
        seed,
        NO_AUGMENTATION,
        sampling=recipe.sampling,
    )
    rate = settings.learning_rate_factor * recipe.optimizer.learning_rate
    options = recipe.optimizer.model_copy(update={"learning_rate": rate})
    optimizer = build_optimizer(options, network)
    cosine = {"T_max": settings.epochs * len(loader)}
    trainer = Trainer(
        network,
        normalise.device,
        criterion,
        optimizer,
        loader,
        val_loader=(),
        gradient_clip_norm=recipe.clip_norm,
        scheduler=LRSchedulerCallback(optimizer, "cosine", cosine, interval="step"),
        precision=recipe.precision,
        micro_batch=recipe.micro_batch,
        seed=seed,
    )
    for epoch in range(settings.epochs):
        loader.set_epoch(epoch)
        trainer.train_epoch(epoch)
    return network.eval()


def freeze_features(model: nn.Module, classifier: Collection[str]) -> None:
    """Turn off the gradients of all parameters but those in `classifier` and of BatchNorm."""
    model.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.requires_grad_(True)
    for name, parameter in model.named_parameters():
        if name in classifier:
            parameter.requires_grad_(True)
