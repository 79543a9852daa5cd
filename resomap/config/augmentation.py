"""Random changes of training images: keys of `training.augmentation`."""

from typing import Annotated, Literal

from pydantic import Field

from resomap.config.types import FloatRange, Fraction, FractionRange, Section


class RandomResizedCrop(Section):
    """Random box of the image, resized to the full side."""

    scale: FractionRange
    """Range of the box's area, as a fraction of the image's area."""
    ratio: FloatRange
    """Range of the box's width divided by its height."""
    # With a default: recipes that name scale and ratio alone are as old as the section.
    crop_from: Literal["resized", "native"] = "resized"
    """resized: the box is cut from the image at the run's resolution and enlarged. native: it
    is cut at native resolution and resized once, so that a small box stays sharp."""


class ColorJitter(Section):
    """Random change of brightness, contrast, saturation and hue, uniform around no change."""

    brightness: Fraction
    """Brightness factor, between 1 - x and 1 + x."""
    contrast: Fraction
    """Contrast factor around the image's mean grey, between 1 - x and 1 + x."""
    saturation: Fraction
    """Saturation factor around each pixel's grey, between 1 - x and 1 + x."""
    hue: Annotated[float, Field(ge=0, le=0.5)]
    """Rotation of the colour circle, between -x and x turns."""


class GaussianBlur(Section):
    """Gaussian blur of random images."""

    probability: Fraction
    """Probability that an image is blurred."""
    sigma: FractionRange
    """Range of the standard deviation, as a fraction of the side."""


class RandomErasing(Section):
    """Random box set to the mean colour, in random images."""

    probability: Fraction
    """Probability that a box is erased."""
    scale: FractionRange
    """Range of the box's area, as a fraction of the image's area."""
    ratio: FloatRange
    """Range of the box's width divided by its height."""


class RandAugment(Section):
    """Random operations of geometry and colour on each image (Cubuk et al. 2019)."""

    num_ops: Annotated[int, Field(gt=0, le=10)]
    """Operations per image, one after another."""
    magnitude: Annotated[int, Field(ge=0, le=30)]
    """Strength of every operation, in thirtieths of its largest."""


class Augmentation(Section):
    """Random changes of training images.

    Lengths are fractions of the side, so every resolution gets the same.
    """

    horizontal_flip: Fraction
    """Probability of a horizontal flip."""
    random_resized_crop: RandomResizedCrop | None
    """Random box of the image, resized to the full side; null for none."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)]
    """Rotation by a random angle between -x and x degrees. Corners get the mean colour."""
    color_jitter: ColorJitter | None
    """Random change of colours; null for none."""
    blur: GaussianBlur | None
    """Gaussian blur of random images; null for none."""
    erasing: RandomErasing | None
    """Random box set to the mean colour; null for none."""
    rand_augment: RandAugment | None
    """Random operations of one strength on each image; null for none."""
    trivial_augment: bool
    """One random operation of random strength on each image (TrivialAugmentWide)."""

    @property
    def crops_native(self) -> bool:
        """Return whether random boxes are cut from images at native resolution."""
        crop = self.random_resized_crop
        return crop is not None and crop.crop_from == "native"
