"""No step of a training makes the CPU wait for the device."""

import sys
from contextlib import nullcontext
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW

from resomap.config.augmentation import (
    Augmentation,
    ColorJitter,
    GaussianBlur,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
)
from resomap.config.data import Filter
from resomap.config.training import Optimizer, Precision
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.data.loading.mixing import Mixing
from resomap.data.loading.native_crops import NativeCrops
from resomap.training import passes
from resomap.training.memory import forward_in_micro_batches
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.tally import Tally
from resomap.training.trainer import Trainer
from tests.recipes import augmentation, optimizer, schedule
from tests.tiny_training import VAL_LOSS
from tests.waits import META, Wait, no_waits

COUNT, SIDE, CLASSES = 22, 12, 3
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "flip": {"horizontal_flip": 0.5},
    "crop": {"random_resized_crop": RandomResizedCrop(scale=(0.2, 1.0), ratio=(0.75, 1.3333))},
    "rotation": {"rotation_degrees": 20.0},
    "color": {
        "color_jitter": ColorJitter(brightness=0.2, contrast=0.2, saturation=0.3, hue=0.1)
    },
    "blur": {"blur": GaussianBlur(probability=0.5, sigma=(0.01, 0.03))},
    "erasing": {"erasing": RandomErasing(probability=0.5, scale=(0.02, 0.3), ratio=(0.3, 3.3))},
    "rand": {"rand_augment": RandAugment(num_ops=2, magnitude=9)},
    "trivial": {"trivial_augment": True},
}
ALL = augmentation(
    **{name: value for each in AUGMENTATIONS.values() for name, value in each.items()}
)
OPTIMIZERS = get_args(Optimizer.model_fields["type"].annotation)
WAITS = {
    "value": lambda images: images.sum().item(),
    "condition": lambda images: bool((images > 0).all()),
    "shape": lambda images: images.nonzero(),
    "mask": lambda images: images[images > 0],
    "copy to it": lambda images: torch.ones(3).to(META),
    "copy into it": lambda images: images.copy_(torch.ones(images.shape)),
    "copy from it": lambda images: images.cpu(),
    "constant": lambda images: torch.tensor([1.0, 2.0], device=META),
    "constant like it": lambda images: images.new_tensor([1.0, 2.0]),
    "inverse": lambda images: torch.linalg.inv(torch.zeros(3, 3, device=META)),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_waiting_operation_is_found(wait):
    with pytest.raises(Wait), no_waits():
        wait(torch.zeros(2, 3, device=META))


@pytest.fixture(autouse=True)
def fused_steps_and_autocast_on_meta(monkeypatch):
    devices = ["cpu", "cuda", "meta"]
    # torch deletes the module's name from its package.
    module, supported = (
        sys.modules["torch.optim.optimizer"],
        "_get_fused_kernels_supported_devices",
    )
    monkeypatch.setattr(module, supported, lambda: devices)
    # Autocast changes types on the device, which no CPU waits for, and refuses the meta device.
    monkeypatch.setattr(passes, "autocast", lambda *_: nullcontext())


def build_meta_trainer(
    changes: Augmentation,
    kind: str = "adamw",
    weights: Tensor | None = None,
    images_on: torch.device = META,
    mixing: Mixing | None = None,
    native: NativeCrops | None = None,
    **options: Any,
) -> Trainer:
    normalise = Normalise((0.5, 0.4, 0.6), (0.25, 0.2, 0.3), META)
    images = torch.zeros(COUNT, SIDE, SIDE, 3, dtype=torch.uint8, device=images_on)
    labels = torch.zeros(COUNT, dtype=torch.int64, device=META)
    train = TrainLoader(images, labels, normalise, 8, 0, changes, mixing=mixing, native=native)
    layers = (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
    head = (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, CLASSES))
    model = nn.Sequential(*layers, *head).to(META, memory_format=torch.channels_last)
    steps = build_optimizer(optimizer(kind=kind), model)
    return Trainer(
        model,
        META,
        nn.CrossEntropyLoss(weight=weights, label_smoothing=0.1),
        steps,
        train,
        EvalLoader(images, labels, normalise, 16),
        scheduler=build_schedule(schedule(), steps, len(train), 3, VAL_LOSS),
        seed=0,
        **options,
    )


def train_without_waits(trainer: Trainer) -> Tally:
    tally = Tally(META, trainer.group)
    tally.epoch_metrics = dict  # reads the totals, once an epoch
    with no_waits():
        trainer.train_epoch(0, tally)
    return tally


@pytest.mark.parametrize("changes", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_augmentation_does_not_wait(changes):
    tally = train_without_waits(build_meta_trainer(augmentation(**changes)))
    assert (tally.steps, tally.num_images) == (3, COUNT)


def test_augmentations_are_all_of_the_recipe():
    varied = {name for each in AUGMENTATIONS.values() for name in each}
    assert varied == set(Augmentation.model_fields)
    assert set(ColorJitter.model_fields) == ALL.color_jitter.model_fields_set


@pytest.mark.parametrize("changes", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_batch_from_the_host_does_not_wait(changes):
    trainer = build_meta_trainer(augmentation(**changes), images_on=torch.device("cpu"))
    assert train_without_waits(trainer).num_images == COUNT


def test_batch_of_another_loader_does_not_wait():
    trainer = build_meta_trainer(augmentation())
    trainer.train_loader = list(trainer.train_loader)
    assert train_without_waits(trainer).num_images == COUNT


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_wait_planted_in_the_network_is_found(wait):
    trainer = build_meta_trainer(ALL)
    trainer.model[2].register_forward_hook(
        lambda _module, _inputs, output: wait(output.clone())
    )
    with pytest.raises(Wait):
        train_without_waits(trainer)


def test_waiting_optimizer_is_found():
    trainer = build_meta_trainer(ALL, precision="fp16", gradient_clip_norm=1.0)
    # Without its fused kernel the scaler reads whether a gradient overflowed.
    trainer.optimizer = AdamW(trainer.model.parameters(), fused=False)
    with pytest.raises(Wait, match="_local_scalar_dense"):
        train_without_waits(trainer)


@pytest.mark.parametrize("place", ["recolor", "__call__"])
def test_wait_planted_in_the_loader_is_found(monkeypatch, place):
    original = getattr(Normalise, place)

    def wait(self: Normalise, images: Tensor, *rest: Tensor) -> Tensor:
        copied = images.cpu().to(META)
        return original(self, copied, *rest)

    monkeypatch.setattr(Normalise, place, wait)
    changes = AUGMENTATIONS["color" if place == "recolor" else "none"]
    with pytest.raises(Wait, match="blocks"):
        train_without_waits(build_meta_trainer(augmentation(**changes)))


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("precision", get_args(Precision))
def test_step_of_every_option_does_not_wait(precision, kind):
    trainer = build_meta_trainer(
        ALL,
        kind,
        weights=torch.ones(CLASSES),
        precision=precision,
        gradient_clip_norm=1.0,
        gradient_accumulation_steps=2,
        micro_batch=3,
        ema_decay=0.99,
    )
    assert train_without_waits(trainer).steps == 2
    assert int(trainer.ema.n_averaged) == 2


@pytest.mark.parametrize("mixing", [Mixing(0.5, None, CLASSES), Mixing(None, 1.0, CLASSES)])
@pytest.mark.parametrize("weights", [None, torch.ones(CLASSES)])
def test_mixed_batch_does_not_wait(mixing, weights):
    trainer = build_meta_trainer(augmentation(), weights=weights, mixing=mixing)
    assert train_without_waits(trainer).num_images == COUNT


@pytest.mark.parametrize("filter", get_args(Filter))
def test_native_crops_do_not_wait(filter):
    native = NativeCrops(torch.arange(COUNT), 8, filter)
    trainer = build_meta_trainer(augmentation(**AUGMENTATIONS["crop"]), native=native)
    assert train_without_waits(trainer).num_images == COUNT


def test_validation_batch_does_not_wait():
    trainer = build_meta_trainer(augmentation())
    network, tally = trainer.eval_model.eval(), Tally(META, trainer.group)
    with no_waits(), torch.inference_mode():
        for images, labels in trainer.val_loader:
            logits = forward_in_micro_batches(network, images, trainer.val_micro_batch)
            tally.add(trainer.val_criterion(logits, labels), logits, labels)
    assert tally.num_images == COUNT
