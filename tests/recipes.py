"""Sections of the training configuration for tests, with all options off by default."""

from typing import Any

from resomap.config import data
from resomap.config.augmentation import (
    Augmentation,
    ColorJitter,
    GaussianBlur,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
)
from resomap.config.training import (
    ExponentialDecay,
    FineTune,
    MultistepDecay,
    Optimizer,
    PlateauDecay,
    Schedule,
    Sgd,
    StepDecay,
)

NO_AUGMENTATION: dict[str, Any] = {
    "horizontal_flip": 0.0,
    "random_resized_crop": None,
    "rotation_degrees": 0.0,
    "color_jitter": None,
    "blur": None,
    "erasing": None,
    "rand_augment": None,
    "trivial_augment": False,
}
NO_FINETUNE: dict[str, Any] = {
    "freeze": "none",
    "unfreeze_epoch": None,
    "backbone_lr": 1.0,
    "layer_decay": None,
    "freeze_bn": False,
}


def augmentation(**changes: Any) -> Augmentation:
    """Return an augmentation of `changes` alone."""
    return Augmentation(**{**NO_AUGMENTATION, **changes})


def finetune(**changes: Any) -> FineTune:
    """Return a fine-tuning of `changes` alone."""
    return FineTune(**{**NO_FINETUNE, **changes})


EVERY_AUGMENTATION = augmentation(
    horizontal_flip=0.5,
    random_resized_crop=RandomResizedCrop(scale=(0.2, 1.0), ratio=(0.75, 1.3333)),
    rotation_degrees=20.0,
    color_jitter=ColorJitter(brightness=0.2, contrast=0.2, saturation=0.3, hue=0.1),
    blur=GaussianBlur(probability=0.5, sigma=(0.01, 0.03)),
    erasing=RandomErasing(probability=0.5, scale=(0.02, 0.3), ratio=(0.3, 3.3)),
    rand_augment=RandAugment(num_ops=2, magnitude=9),
)


def optimizer(lr: float = 0.005, kind: str = "adamw") -> Optimizer:
    """Return an optimizer with a little weight decay."""
    return Optimizer(
        type=kind, learning_rate=lr, weight_decay=0.01, sgd=Sgd(momentum=0.9, nesterov=True)
    )


def schedule(kind: str = "cosine", warmup_epochs: float = 1.0, min_lr: float = 0.0) -> Schedule:
    """Return a schedule whose variants are all short."""
    return Schedule(
        type=kind,
        warmup_epochs=warmup_epochs,
        min_lr=min_lr,
        step=StepDecay(epochs=2.0, gamma=0.5),
        multistep=MultistepDecay(milestones=(1.0, 3.0), gamma=0.1),
        exponential=ExponentialDecay(gamma=0.9),
        plateau=PlateauDecay(factor=0.1, patience=1),
    )


def reef_data(reef: data.Reef, native: int, filter: str) -> data.Data:
    """Return the data section of a reef."""
    return data.Data(
        dataset="reef",
        native_resolution=native,
        filter=filter,
        aspect="squash",
        bit_depth=None,
        group_leaks="error",
        on_bad_image="error",
        splits=data.Splits(val=0.15, test=0.2, seed=0),
        folder=None,
        csv=None,
        torchvision=None,
        reef=reef,
    )
