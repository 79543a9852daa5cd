"""How trained networks are taken to every resolution of the sweep: keys of `evaluation`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from resomap.config.types import Distinct, PositiveFloat, PositiveInt, Section

EvaluationMode = Literal["raw", "bn", "finetune"]


class FineTuning(Section):
    """How the mode finetune adapts a network to a resolution (FixRes, Touvron et al. 2019).

    The classifier and the BatchNorm layers are trained on all training images at that
    resolution, without augmentation; all other weights stay. Optimizer, batch, loss and
    sampling are those of the training, the schedule is a cosine.
    """

    epochs: PositiveInt
    """Passes over the training images, at every resolution."""
    learning_rate_factor: PositiveFloat
    """Peak learning rate, as a factor of `training.optimizer.learning_rate`."""


class Evaluation(Section):
    """How every run is evaluated at every resolution of the sweep."""

    modes: Distinct[EvaluationMode]
    """How a network is taken to a resolution: as it was trained (raw, always needed), with
    BatchNorm statistics of training images at that resolution (bn), or with classifier and
    BatchNorm fine-tuned there (finetune)."""
    # At least 2, since BatchNorm has no variance of one value.
    bn_images: Annotated[int, Field(ge=2, le=1_000_000)] | None
    """Number of training images that the mode bn takes statistics of, a random sample that is
    the same for every run; null for all."""
    finetune: FineTuning
    """The mode finetune."""

    @model_validator(mode="after")
    def _check_raw(self) -> Self:
        # Tables, figures and the choice score every run as it was trained.
        if "raw" not in self.modes:
            raise ValueError("modes: raw is missing: list it beside the others")
        return self
