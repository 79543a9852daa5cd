"""The recipe of a training, as frozen types; every cell of a sweep follows the same one."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from resomap.config.types import (
    FloatRange,
    Fraction,
    FractionRange,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
)

Precision = Literal["fp32", "bf16", "fp16"]
Sampling = Literal["shuffled", "balanced"]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(gt=0, lt=1)]


def _rising(milestones: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(milestones)):
        raise ValueError(f"{list(milestones)} must rise")
    return milestones


class Sgd(Section):
    """What `sgd` alone has."""

    momentum: Momentum
    """Momentum."""
    nesterov: bool
    """Nesterov's form of it."""


class Optimizer(Section):
    """The optimizer, fused where torch has it."""

    type: Literal["adamw", "adam", "sgd"]
    """Its kind."""
    learning_rate: PositiveFloat
    """Peak learning rate."""
    weight_decay: NonNegativeFloat
    """Weight decay (decoupled in adamw, L2 in adam and sgd); norms and biases are left out."""
    sgd: Sgd
    """What `sgd` alone has."""


class Step(Section):
    """Smaller by a factor every so often."""

    epochs: PositiveFloat
    """Epochs between two steps."""
    gamma: Factor
    """The factor of each."""


class Multistep(Section):
    """Smaller by a factor at given epochs."""

    milestones: Annotated[
        tuple[PositiveFloat, ...], Field(min_length=1), AfterValidator(_rising)
    ]
    """Epochs after the warm-up at which the learning rate falls."""
    gamma: Factor
    """The factor of each fall."""


class Exponential(Section):
    """Smaller by a constant factor an epoch."""

    gamma: Factor
    """The factor an epoch, applied smoothly over its steps."""


class Plateau(Section):
    """Smaller when `training.monitor` stops getting better."""

    factor: Factor
    """The factor."""
    patience: NonNegativeInt
    """Epochs without improvement that are let pass."""


class Schedule(Section):
    """The learning rate over the training; the epochs of every type count from the end of the warm-up."""

    type: Literal["cosine", "step", "multistep", "exponential", "plateau"]
    """Its shape after the warm-up."""
    warmup_epochs: NonNegativeFloat
    """Epochs of linear warm-up."""
    min_lr: NonNegativeFloat
    """Learning rate that cosine ends on and plateau stops at."""
    step: Step
    """Smaller by a factor every so often."""
    multistep: Multistep
    """Smaller by a factor at given epochs."""
    exponential: Exponential
    """Smaller by a constant factor an epoch."""
    plateau: Plateau
    """Smaller when the monitor stops getting better."""


class RandomResizedCrop(Section):
    """A random box of the picture, brought back to its full side."""

    scale: FractionRange
    """Area of the box as a share of the picture's."""
    ratio: FloatRange
    """Width of the box over its height."""


class ColorJitter(Section):
    """Random changes of colour, each by a factor or an angle drawn evenly around no change."""

    brightness: Fraction
    """Factor within 1 - x to 1 + x."""
    contrast: Fraction
    """Factor around the picture's mean grey, within 1 - x to 1 + x."""
    saturation: Fraction
    """Factor around the pixel's own grey, within 1 - x to 1 + x."""
    hue: Annotated[float, Field(ge=0, le=0.5)]
    """Turn of the colour circle, within -x to x turns."""


class Blur(Section):
    """A Gaussian blur of some pictures."""

    probability: Fraction
    """Probability of a blur."""
    sigma: FractionRange
    """Range of its standard deviation, in fractions of the side."""


class Erasing(Section):
    """A random box of some pictures set to the mean colour."""

    probability: Fraction
    """Probability of an erased box."""
    scale: FractionRange
    """Its area as a share of the picture's."""
    ratio: FloatRange
    """Its width over its height."""


class Augmentation(Section):
    """Random changes of training pictures, in fractions of the side: the same at every resolution."""

    horizontal_flip: Fraction
    """Probability of a flip from left to right."""
    random_resized_crop: RandomResizedCrop | None
    """A random box of the picture, brought back to its full side; null for none."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)]
    """Rotation by an angle drawn from -x to x degrees; corners take the mean colour."""
    color_jitter: ColorJitter | None
    """Random changes of colour; null for none."""
    blur: Blur | None
    """A Gaussian blur of some pictures; null for none."""
    erasing: Erasing | None
    """A random box set to the mean colour; null for none."""


class Monitor(Section):
    """A metric and the direction in which it gets better."""

    name: Literal["val_loss", "val_accuracy", "val_precision", "val_recall", "val_f1"]
    """The metric."""
    mode: Literal["min", "max"]
    """min: smaller is better; max: larger is better."""


class Stopping(Section):
    """When a training ends before its last epoch."""

    patience: PositiveInt
    """Epochs without improvement of `monitor` after which it ends."""
    warmup_epochs: NonNegativeInt
    """First epochs, in which nothing is counted."""
    min_delta: NonNegativeFloat
    """Smallest change that counts as an improvement."""


class Training(Section):
    """One training, the same for every cell."""

    epochs: PositiveInt
    """Passes over the training pictures."""
    batch_size: PositiveInt
    """Pictures in one optimizer step."""
    micro_batch: PositiveInt | None
    """Pictures in one forward pass; their gradients are accumulated to those of the batch. null: the whole batch."""
    precision: Precision
    """Arithmetic of the training: fp32, or autocast to bf16 or fp16 (with a gradient scaler)."""
    clip_norm: PositiveFloat | None
    """Largest norm of the gradient; null for no limit."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target spread over the other classes."""
    sampling: Sampling
    """shuffled: every picture once an epoch; balanced: as many, equally many of each class (small ones repeat, large ones come in part)."""
    class_weights: Literal["balanced"] | None
    """balanced: the loss of a class counts inversely to its number of training pictures; null: every picture counts once."""
    ema_decay: Factor | None
    """Decay a step of an exponential moving average of the weights, which is then what is validated and kept; null for none."""
    start: Annotated[str, Field(pattern=r"^(random|pretrained|.+\.safetensors)$")]
    """Weights to start from: random, pretrained (torchvision's own), or a .safetensors file that a training of this tool wrote."""
    save_top_k: NonNegativeInt
    """Best epochs whose weights are kept beside best.safetensors."""
    save_optimizer: bool
    """Whether the state of the optimizer is kept beside each of them."""
    optimizer: Optimizer
    """The optimizer."""
    schedule: Schedule
    """The learning rate over the training."""
    augmentation: Augmentation
    """Random changes of training pictures."""
    monitor: Monitor
    """Which epoch's weights are kept; the earlier wins a tie."""
    early_stopping: Stopping | None
    """When a training ends before its last epoch; null: never."""
    on_divergence: Literal["stop", "retry"]
    """A loss that is not finite ends the run as diverged (stop), or it is trained once more at half the learning rate (retry)."""

    @model_validator(mode="after")
    def _corrects_once(self) -> Self:
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError(
                "sampling: balanced and class_weights: balanced correct the same imbalance twice: take one of them"
            )
        return self

    @property
    def start_files(self) -> list[Path]:
        """The file of weights that `start` names, if it names one."""
        return [] if self.start in ("random", "pretrained") else [Path(self.start)]
