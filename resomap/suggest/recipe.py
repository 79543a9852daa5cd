"""The training recipe: epochs and batch size by the number of images, and the initial weights."""

from math import sqrt
from typing import Any

BATCH_SIZES = {1_000: 16, 5_000: 32}
"""Batch size up to a number of training images."""
LARGE_BATCH = 64
MIN_STEPS = 4
"""Fewest steps of an epoch."""
# 20 epochs of 1,000 images fine-tune; config/presets/finetune.yaml has 30 to 40 for 300
# images and 10 for 5,000. Random weights take more.
REFERENCE_IMAGES = 1_000
PRETRAINED_EPOCHS, RANDOM_EPOCHS = 20, 30
FEWEST_EPOCHS, MOST_EPOCHS = 6, 60
FINE_TUNING: dict[str, Any] = {
    "label_smoothing": 0.1,
    "optimizer": {"learning_rate": 0.001, "weight_decay": 0.05},
    "finetune": {
        "freeze": "backbone",
        "unfreeze_epoch": 1,
        "backbone_lr": 0.1,
        "freeze_bn": True,
    },
    "augmentation": {"random_resized_crop": {"scale": [0.35, 1.0], "ratio": [0.75, 1.3333]}},
}
"""Keys of `training` for pretrained weights, measured in docs/photographs.md."""


def suggest_batch_size(train: int) -> int:
    """Return the batch size for so many training images: a power of two, at least 2."""
    size = next((size for most, size in BATCH_SIZES.items() if train < most), LARGE_BATCH)
    while size > 2 and size * MIN_STEPS > train:
        size //= 2
    return size


def suggest_epochs(train: int, *, pretrained: bool) -> int:
    """Return the epochs for so many training images: fewer images are seen more often."""
    reference = PRETRAINED_EPOCHS if pretrained else RANDOM_EPOCHS
    epochs = round(reference * sqrt(REFERENCE_IMAGES / max(train, 1)))
    return min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)


def recipe_of(start: Any, epochs: int, *, freeze_bn: bool = True) -> dict[str, Any]:
    """Return the keys of `training` beside epochs and batch size, for a start and so many epochs.

    `freeze_bn` is whether any network has BatchNorm, whose statistics are then kept.
    """
    if start == "random":
        return {"schedule": {"warmup_epochs": 0.0}} if epochs == 1 else {}
    finetune = FINE_TUNING["finetune"] | {"freeze_bn": freeze_bn}
    recipe = {"start": start, **FINE_TUNING, "finetune": finetune}
    # A warm-up, or a frozen first epoch, must not be longer than the training.
    if epochs == 1:
        recipe["schedule"] = {"warmup_epochs": 0.0}
        recipe["finetune"] = {"freeze": "backbone"}
    return recipe
