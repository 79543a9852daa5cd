"""How a cell is recommended: margin, confidence, budgets and accepted confounds of `report`."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from resomap.config.types import Fraction, NonNegativeInt, PositiveFloat, Section
from resomap.errors import suggest

Confound = Literal[
    "batch_size",
    "batchnorm_batch",
    "steps",
    "images_seen",
    "learning_rate",
    "schedule",
    "recipe",
    "precision",
    "data",
    "filter",
    "crop",
    "start",
    "code",
    "torch",
    "torchvision",
    "resomap",
    "device",
    "latency_device",
]
"""What may confound a comparison of two runs, beside the model and the resolution."""
CONFOUNDS: tuple[Confound, ...] = get_args(Confound)


def _check_confound(name: str) -> str:
    if name not in CONFOUNDS:
        raise ValueError(f"unknown confound {name[:60]!r}; {suggest(name, CONFOUNDS)}")
    return name


@dataclass(frozen=True)
class CostBudget:
    """A budget on a cost of one image: its column of profiles.csv, its name and its unit.

    A key of `Report` that is annotated with one is a budget everywhere: in the choice, in the
    page, and as a flag of `resomap choose` once the command lists it.
    """

    column: str
    name: str
    unit: str


class ClassRecall(Section):
    """A class, and how many of its images a recommended cell must find."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the class."""
    recall: Fraction
    """Smallest share of its validation images that are predicted correctly."""


class Report(Section):
    """How results are reported and a cell is recommended.

    Budgets are kept when a bound with the confidence of the report keeps them, not only the
    measured value.
    """

    margin: Annotated[float, Field(gt=0, lt=1)]
    """A cheaper cell is recommended if its accuracy is shown to be within this of every other
    cell's (0.02 is two points)."""
    # From a half on, since one-sided ends are taken from central intervals.
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Confidence level of every interval."""
    attitude: Literal["certified", "frugal"]
    """Recommended cell: the cheapest one shown to be within the margin (certified), or the
    cheapest one not shown to be worse (frugal), which may lose more."""
    max_latency_ms: PositiveFloat | None
    """Budget: largest p90 latency at batch size 1 that a recommended cell may have, in
    milliseconds; null for none."""
    max_peak_memory_mib: Annotated[
        PositiveFloat | None, CostBudget("peak_memory_mib", "peak memory", "MiB")
    ]
    """Budget: largest peak memory at batch size 1, in MiB; null for none."""
    max_model_size_mib: Annotated[
        PositiveFloat | None, CostBudget("model_size_mib", "model size", "MiB")
    ]
    """Budget: largest size of the parameters and buffers, in MiB; null for none."""
    max_energy_j_per_image: Annotated[
        PositiveFloat | None, CostBudget("energy_j_per_image", "energy per image", "J")
    ]
    """Budget: largest energy per image at batch size 1, in joules; null for none."""
    max_macs: Annotated[PositiveFloat | None, CostBudget("macs", "number of MACs", "MACs")]
    """Budget: largest number of multiply-accumulates per image; null for none."""
    min_accuracy: Fraction | None
    """Budget: smallest validation accuracy that a recommended cell may have; null for none."""
    min_balanced_accuracy: Fraction | None
    """Budget: smallest mean recall over the classes on validation images; null for none."""
    min_recall: tuple[ClassRecall, ...]
    """Budgets: smallest recall of each class listed, as `{name: melanoma, recall: 0.9}`."""
    min_localisation: Fraction | None
    """Budget: smallest share of the relevance on the object, 0 by chance and 1 at best, in every
    group of images; null for none. Needs masks."""
    alarms: Literal["allowed", "forbidden"]
    """Whether a recommended cell may raise the alarm about its evidence. Forbidden needs
    explanations and masks."""
    max_failed_seeds: NonNegativeInt
    """Budget: largest number of seeds of a recommended cell that diverged or did not fit in
    memory. The scores are those of the seeds that finished."""
    accept_confounds: tuple[Annotated[str, AfterValidator(_check_confound)], ...]
    """Differences between runs that do not prevent a certificate, by name: batch_size,
    batchnorm_batch, steps, images_seen, learning_rate, schedule, recipe, precision, data,
    filter, crop, start, code, torch, torchvision, resomap, device, latency_device."""


def _cost_budgets() -> dict[str, CostBudget]:
    """Return the budgets on costs, by their key."""
    budgets = {}
    for key, field in Report.model_fields.items():
        for entry in field.metadata:
            if isinstance(entry, CostBudget):
                budgets[key] = entry
    return budgets


COST_BUDGETS = _cost_budgets()
