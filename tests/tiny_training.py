"""Tiny images, loaders, networks and trainers for the tests of training."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resomap.config.training import Monitor
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.training.trainer import Trainer
from tests.recipes import augmentation

VAL_LOSS = Monitor(name="val_loss", mode="min")
NORMALISE = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), torch.device("cpu"))
NUM_TRAIN, NUM_VAL = 72, 30


def half_bright_images(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return uint8 noise (N, 8, 8, 3), brighter in the upper half (class 0) or the lower (1)."""
    images = np.random.default_rng(seed).integers(0, 150, (count, 8, 8, 3))
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4] += 100
    return torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels)


def build_loaders(seed: int = 0, batch_size: int = 16) -> tuple[TrainLoader, EvalLoader]:
    """Return loaders of half-bright images, flipped at random in training."""
    images, labels = half_bright_images(NUM_TRAIN, 1)
    flip = augmentation(horizontal_flip=0.5)
    train = TrainLoader(images, labels, NORMALISE, batch_size, seed, flip)
    return train, EvalLoader(*half_bright_images(NUM_VAL, 2), NORMALISE, 16)


def noise_batches(count: int, batch_size: int) -> list[tuple[Tensor, Tensor]]:
    """Return float noise (B, 3, 8, 8) of three classes in batches."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    labels = torch.arange(count) % 3
    return list(zip(images.split(batch_size), labels.split(batch_size), strict=True))


def build_network(*, batch_norm: bool = False) -> nn.Module:
    """Return a small convolutional network of three classes, always with the same weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(4))
    layers += [nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)]
    return nn.Sequential(*layers)


def build_noise_trainer(
    model: nn.Module,
    batch_size: int = 8,
    lr: float = 0.1,
    momentum: float = 0.9,
    **options: Any,
) -> Trainer:
    """Return a trainer of `model` by SGD on 22 images of noise, validated on 9 others."""
    options = {"criterion": nn.CrossEntropyLoss(), **options}
    return Trainer(
        model,
        "cpu",
        optimizer=torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum),
        train_loader=noise_batches(22, batch_size),
        val_loader=noise_batches(9, 9),
        **options,
    )


class LimitedMemory(nn.Module):
    """A network that runs out of memory for more than `max_images` at once."""

    def __init__(
        self, network: nn.Module, max_images: int, error: Exception | None = None
    ) -> None:
        super().__init__()
        self.network, self.max_images = network, max_images
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, or raise after BatchNorm has already seen the images."""
        logits = self.network(images)
        if len(images) > self.max_images:
            raise self.error
        return logits
