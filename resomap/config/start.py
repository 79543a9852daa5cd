"""The weights that trainings start from, and the input that they expect."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from resomap.config.data import Filter
from resomap.config.types import FilePath, PositiveFloat, Section
from resomap.errors import suggest

DEFAULT_TAG = "default"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
MAX_MEAN = 10.0
Mean = Annotated[float, Field(ge=-MAX_MEAN, le=MAX_MEAN)]
Deviation = Annotated[PositiveFloat, Field(le=1000)]
Rename = tuple[
    Annotated[str, Field(min_length=1, max_length=1000)], Annotated[str, Field(max_length=1000)]
]


def _to_tuples(value: Any) -> Any:
    """Return `value` with a tuple in place of every list."""
    if isinstance(value, Mapping):
        return {key: _to_tuples(each) for key, each in value.items()}
    return tuple(map(_to_tuples, value)) if isinstance(value, list | tuple) else value


class Normalisation(Section):
    """How pixels become the input of a network: (pixel / 255 - mean) / std, channel by channel."""

    mean: tuple[Mean, Mean, Mean]
    """Mean of each channel on the scale 0 to 1."""
    std: tuple[Deviation, Deviation, Deviation]
    """Standard deviation of each channel on the scale 0 to 1."""

    @field_validator("mean", mode="before")
    @classmethod
    def _check_scale(cls, values: Any) -> Any:
        numbers = values if isinstance(values, tuple) else ()
        if any(isinstance(value, int | float) and abs(value) > MAX_MEAN for value in numbers):
            raise ValueError(
                f"{list(numbers)} is on the scale 0 to 255: divide mean and std by 255"
            )
        return values


class Start(Section):
    """The initial weights of every training, and the input that they were trained with.

    A word or a path stands for the whole section: `random`, `pretrained`, `weights.safetensors`.
    """

    # The keys have defaults, because a start lists only those it needs.
    pretrained: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Published weights of the builder by their tag, such as IMAGENET1K_V2 of torchvision or
    ra_in1k of timm; default takes the one that the library prefers."""
    file: FilePath | None = None
    """A file of weights: .safetensors, or a state dict or checkpoint that torch.load reads with
    weights_only. It must hold 90 % of the parameters of the backbone; of a checkpoint with a
    moving average of the weights, the average is taken."""
    rename: Annotated[tuple[Rename, ...], Field(max_length=1000)] = ()
    """Names of a foreign file: regular expressions and their replacements, applied to each name
    in this order. A prefix before every name, such as `module.`, needs none."""
    normalisation: Normalisation | None = None
    """Mean and std of the input; null takes those of the weights, or those of the training
    images where the weights have none."""
    interpolation: Filter | None = None
    """Filter by which the images of these weights were resized. Only compared with
    `data.filter`: all models share the stored images."""
    color_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels that the weights of `file` were trained with. Those of bgr are
    converted when they are loaded."""

    @model_validator(mode="before")
    @classmethod
    def _expand_word(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            # What a validator returns counts as Python's, of which strict mode takes tuples only.
            return _to_tuples(value)
        if isinstance(value, Start):
            return value
        if value == "random":
            return {}
        if value == "pretrained":
            return {"pretrained": DEFAULT_TAG}
        if isinstance(value, str) and value.endswith(WEIGHT_SUFFIXES):
            return {"file": value}
        hint = suggest(str(value), ["random", "pretrained"])
        raise ValueError(
            f"{str(value)[:60]!r} is no start: write random, pretrained, a path that ends in "
            f"{' or '.join(WEIGHT_SUFFIXES[:2])}, or {{file: PATH}}; {hint}"
        )

    @field_validator("rename", mode="before")
    @classmethod
    def _list_rules(cls, value: Any) -> Any:
        # A list of pairs, because the keys of an object are sorted in the identity of a job, and
        # the rules apply in the order in which they are written.
        if not isinstance(value, Mapping):
            pairs = value if isinstance(value, tuple) else (value,)
            if any(not isinstance(pair, tuple) or len(pair) != 2 for pair in pairs):
                raise ValueError("expected {PATTERN: REPLACEMENT}, one pair for each rule")
            return value
        for pattern, replacement in value.items():
            if not isinstance(replacement, str):
                raise ValueError(f"{pattern!r}: the replacement is no text: {replacement!r}")
        return tuple(value.items())

    @field_validator("rename")
    @classmethod
    def _check_rules(cls, rules: tuple[Rename, ...]) -> tuple[Rename, ...]:
        for pattern, replacement in rules:
            try:
                re.sub(pattern, replacement, "")
            # IndexError: an unknown group name in the replacement.
            except (re.error, IndexError, RecursionError, OverflowError) as error:
                raise ValueError(f"{pattern!r}: {replacement!r}: {error}") from None
        return rules

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.pretrained and self.file:
            raise ValueError("pretrained and file are two sources of weights: keep one of them")
        if not self.file and (self.rename or self.color_order == "bgr"):
            raise ValueError(
                "rename and color_order: bgr are for the weights of a file: name one"
            )
        if self.is_random and self.interpolation:
            raise ValueError("interpolation is that of weights: name a file, or pretrained")
        return self

    @model_serializer(mode="wrap")
    def _shorten(self, handler: SerializerFunctionWrapHandler) -> Any:
        """Return the word or path where it says all, so that one start has one form in a job."""
        values = handler(self)
        rest = {name for name in type(self).model_fields if getattr(self, name)} - {
            "color_order"
        }
        if self.color_order == "rgb":
            if not rest:
                return "random"
            if rest == {"pretrained"} and self.pretrained == DEFAULT_TAG:
                return "pretrained"
            if rest == {"file"} and str(self.file).endswith(WEIGHT_SUFFIXES):
                return self.file
        return values

    @property
    def is_random(self) -> bool:
        """Return whether no weights are loaded."""
        return not (self.pretrained or self.file)

    @property
    def files(self) -> list[Path]:
        """Return the file of weights, or an empty list."""
        return [Path(self.file)] if self.file else []

    def __str__(self) -> str:
        if self.file:
            return self.file
        if self.pretrained:
            return (
                "pretrained"
                if self.pretrained == DEFAULT_TAG
                else f"pretrained: {self.pretrained}"
            )
        return "random"
