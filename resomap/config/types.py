"""The base class of every configuration section, and the kinds of value that a key may hold."""

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Item = TypeVar("Item")


def _check_distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    repeated = sorted({str(value) for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} is listed more than once")
    return values


def _check_ascending(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"[{values[0]}, {values[1]}] has its ends swapped")
    return values


def _check_regular_expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    # Beside re.error: too many nested brackets, or a count that no integer of C can hold.
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


# Identifiers become parts of paths, whose parts have at most 255 bytes, and of Snakemake's
# wildcards.
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
# Every count has an upper bound: a value beyond it is a slip (a batch of 10**30 images), and
# would fail hours later in a library that names no key.
MAX_COUNT = 1_000_000
PositiveInt = Annotated[int, Field(gt=0, le=MAX_COUNT)]
NonNegativeInt = Annotated[int, Field(ge=0, le=MAX_COUNT)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
MAX_HOUR = 3600.0
Seconds = Annotated[float, Field(gt=0, le=MAX_HOUR)]
FilePath = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"\S")]
Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
RegularExpression = Annotated[
    str, Field(min_length=1, max_length=1000), AfterValidator(_check_regular_expression)
]
# The range that numpy and PyTorch both accept.
Seed = Annotated[int, Field(ge=0, lt=2**32)]
SideLength = Annotated[int, Field(ge=8, le=4096)]
# Tuples and not lists: a frozen model with a list would still be mutable and not hashable.
Distinct = Annotated[tuple[Item, ...], Field(min_length=1), AfterValidator(_check_distinct)]
FloatRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_check_ascending)]
FractionRange = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]],
    AfterValidator(_check_ascending),
]


class Section(BaseModel):
    """A frozen section of the configuration that refuses unknown keys."""

    # The docstring below each field becomes its description in config/README.md.
    model_config = ConfigDict(
        extra="forbid",
        # Frozen, so that a section can be hashed and a job stays what its JSON states.
        frozen=True,
        # Strict, because lax mode takes the text "1e-1" for a number.
        strict=True,
        # `.inf` and `.nan` are numbers in YAML.
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
