"""The training recipe. Every cell of a sweep follows the same one."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from resomap.config.augmentation import Augmentation
from resomap.config.start import Start
from resomap.config.types import (
    NonNegativeFloat,
    NonNegativeInt,
    OpenFraction,
    PositiveFloat,
    PositiveInt,
    Section,
)

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
Sampling = Literal["shuffled", "balanced"]


def _check_increasing(milestones: tuple[float, ...]) -> tuple[float, ...]:
    if any(later <= earlier for earlier, later in pairwise(milestones)):
        raise ValueError(f"{list(milestones)} must increase")
    return milestones


class Sgd(Section):
    """Options of `type: sgd`."""

    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Momentum factor."""
    nesterov: bool
    """Use Nesterov momentum."""


class Optimizer(Section):
    """The optimizer, in its fused implementation where PyTorch has one."""

    type: Literal["adamw", "adam", "sgd"]
    """Optimizer."""
    learning_rate: PositiveFloat
    """Peak learning rate."""
    weight_decay: NonNegativeFloat
    """Weight decay: decoupled in adamw, L2 in adam and sgd. Normalisation layers and biases are
    exempt."""
    sgd: Sgd
    """Options of `type: sgd`."""


class StepDecay(Section):
    """Options of `type: step`: multiply the learning rate by a factor at a fixed interval."""

    epochs: PositiveFloat
    """Epochs between two decays."""
    gamma: OpenFraction
    """Factor of each decay."""


class MultistepDecay(Section):
    """Options of `type: multistep`: multiply the learning rate by a factor at given epochs."""

    milestones: Annotated[
        tuple[PositiveFloat, ...], Field(min_length=1), AfterValidator(_check_increasing)
    ]
    """Epochs of the decays, counted from the end of the warm-up."""
    gamma: OpenFraction
    """Factor of each decay."""


class ExponentialDecay(Section):
    """Options of `type: exponential`: multiply the learning rate by a factor every epoch."""

    gamma: OpenFraction
    """Factor per epoch, applied smoothly over its steps."""


class PlateauDecay(Section):
    """Options of `type: plateau`: decay when `training.monitor` stops improving."""

    factor: OpenFraction
    """Factor of each decay."""
    patience: NonNegativeInt
    """Epochs without improvement before a decay."""


class Schedule(Section):
    """The learning rate over the training.

    Every type counts its epochs from the end of the warm-up.
    """

    type: Literal["cosine", "step", "multistep", "exponential", "plateau"]
    """Shape of the schedule after the warm-up."""
    warmup_epochs: NonNegativeFloat
    """Epochs of linear warm-up."""
    min_lr: NonNegativeFloat
    """Final learning rate of cosine, and lower bound of plateau."""
    step: StepDecay
    """Options of `type: step`."""
    multistep: MultistepDecay
    """Options of `type: multistep`."""
    exponential: ExponentialDecay
    """Options of `type: exponential`."""
    plateau: PlateauDecay
    """Options of `type: plateau`."""


Mode = Literal["min", "max"]
DIRECTIONS: dict[str, Mode] = {
    "loss": "min",
    **dict.fromkeys(("accuracy", "precision", "recall", "f1"), "max"),
}
"""Whether the best value of a metric is the smallest or the largest."""


def direction_of(metric: str, mode: Mode | None = None) -> Mode:
    """Return whether the best value of `metric` is its smallest ("min") or largest ("max").

    The prefixes val_ and train_ do not count. A metric that is not in DIRECTIONS has the
    direction `mode`, or min. ValueError when `mode` contradicts the name.
    """
    known = DIRECTIONS.get(metric.removeprefix("val_").removeprefix("train_"))
    if known and mode and mode != known:
        better = "smaller" if known == "min" else "larger"
        raise ValueError(
            f"mode: {mode} contradicts {metric}, which is better the "
            f"{better} it is: leave mode out, or write {known}"
        )
    return known or mode or "min"


class Monitor(Section):
    """The metric that selects the best epoch."""

    name: Literal["val_loss", "val_accuracy", "val_precision", "val_recall", "val_f1"]
    """Metric."""
    mode: Mode
    """min if smaller is better, max if larger is better. null, or no such key: as the name
    requires."""

    @model_validator(mode="before")
    @classmethod
    def _fill_mode(cls, values: Any) -> Any:
        # Filled in here, so that one direction has one form in the identity of a job.
        if isinstance(values, dict) and values.get("mode") is None:
            return {**values, "mode": direction_of(str(values.get("name")))}
        return values


class StoppingRule(Section):
    """Early stopping."""

    patience: PositiveInt
    """Epochs without improvement of `monitor` before the training stops."""
    warmup_epochs: NonNegativeInt
    """First epochs, which are ignored."""
    min_delta: NonNegativeFloat
    """Smallest change that counts as an improvement."""


class FineTune(Section):
    """How trained weights are changed: all of them, the classifier only, or each at its rate.

    The classifier is the layers whose shapes follow from the number of classes, the backbone all
    others.
    """

    freeze: Literal["none", "backbone"]
    """backbone: train the classifier only. The backbone then runs as in evaluation, without
    gradients, dropout, or new BatchNorm statistics."""
    unfreeze_epoch: PositiveInt | None
    """Epochs after which a frozen backbone is trained as well; null: never."""
    backbone_lr: PositiveFloat
    """Learning rate of the backbone, as a factor of that of the classifier."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None
    """Factor of the learning rate from each layer to the one before it, counted from the
    classifier; null for none."""
    freeze_bn: bool
    """BatchNorm normalises by the statistics of the initial weights and keeps them. Its scale
    and shift are trained."""

    @property
    def scales_rates(self) -> bool:
        """Return whether parts of the network are trained at different rates."""
        return self.backbone_lr != 1 or self.layer_decay not in (None, 1)


class Training(Section):
    """The training recipe, the same for every cell."""

    epochs: PositiveInt
    """Passes over the training images."""
    batch_size: PositiveInt
    """Images per optimizer step."""
    micro_batch: PositiveInt | None
    """Images per forward pass, with gradients accumulated to the whole batch. null:
    batch_size."""
    precision: Precision
    """Arithmetic: fp32 (strict float32), tf32 (convolutions and matrix products rounded to TF32,
    on an NVIDIA GPU only), or autocast to bf16 or fp16 (with gradient scaling)."""
    clip_norm: PositiveFloat | None
    """Largest gradient norm; null for no clipping."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    """Share of the target that is spread over all classes."""
    mixup: PositiveFloat | None
    """Alpha of mixup: each image is averaged with another of its batch, the shares from
    Beta(alpha, alpha); null for none. With cutmix as well, each batch takes one at random."""
    cutmix: PositiveFloat | None
    """Alpha of CutMix: a box of each image comes from another of its batch, its share of the
    area from Beta(alpha, alpha); null for none."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None
    """Probability of dropout, for architectures that have it; null keeps the builder's."""
    drop_path: Annotated[float, Field(ge=0, lt=1)] | None
    """Probability of stochastic depth in the last block, for architectures that have it; null
    keeps the builder's."""
    sampling: Sampling
    """shuffled: every image once per epoch. balanced: as many images, the same number of each
    class (small classes repeat)."""
    class_weights: Literal["balanced"] | None
    """balanced: weight the loss of a class inversely to its number of training images. null:
    every image has the same weight."""
    ema_decay: OpenFraction | None
    """Decay per step of an exponential moving average of the weights, which is then validated
    and saved; null for none."""
    # A file is also an input of the rule, so that new weights in it retrain.
    start: Start
    """Initial weights: random, pretrained (the builder's published ones), a file, or a mapping of
    the keys below."""
    finetune: FineTune
    """How the initial weights are trained."""
    save_top_k: NonNegativeInt
    """Number of best epochs whose weights are saved in addition to best.safetensors."""
    # The moments of three epochs a run take 400 GB in a sweep of 16 models at 7 resolutions.
    save_optimizer: bool
    """Save the optimizer state beside each of them."""
    optimizer: Optimizer
    """The optimizer."""
    schedule: Schedule
    """The learning rate over the training."""
    augmentation: Augmentation
    """Random changes of training images."""
    monitor: Monitor
    """The metric that selects the best epoch. The earlier epoch wins a tie."""
    early_stopping: StoppingRule | None
    """Early stopping; null for none."""
    on_divergence: Literal["stop", "retry"]
    """When the loss is not finite: end the run as diverged (stop), or train it once more at
    half the learning rate (retry)."""

    @model_validator(mode="after")
    def _check_balancing(self) -> Self:
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError(
                "sampling: balanced and class_weights: balanced correct the same imbalance "
                "twice: take one of them"
            )
        return self

    @property
    def start_files(self) -> list[Path]:
        """Return the weight file that `start` names, or an empty list."""
        return self.start.files

    @property
    def uses_classifier(self) -> bool:
        """Return whether the classifier is initialised or trained in another way than the rest."""
        is_split = self.finetune.freeze == "backbone" or self.finetune.scales_rates
        return is_split or not self.start.is_random
