"""One frozen type a rule: the contract between the rule and its entry point, and the job's identity.

What changes the numbers is a field; what only changes the speed is not. To declare a field is to subscribe to its changes.
"""

import json
from typing import Self

from pydantic import ValidationError

from resomap.config.data import Data
from resomap.config.schema import (
    Architecture,
    Device,
    Experiment,
    Explainability,
    Mlflow,
    Profiling,
    Report,
    Runtime,
)
from resomap.config.training import Precision, Training
from resomap.config.types import Section
from resomap.errors import ResoMapError


class Job(Section):
    """A unit of work; `code` is the digest of the code that does it."""

    code: str

    def to_json(self) -> str:
        """The canonical JSON: sorted keys, no spaces; Snakemake compares it with the one it recorded."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `to_json` wrote."""
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors()
            )
            raise ResoMapError(f"--job is no {cls.__name__} job: {wrong}") from None


class PrepareData(Job):
    """Draw or read every picture once, at native resolution."""

    data: Data
    listing: str
    """Names the files of the pictures; blank where the configuration names all there is."""


class ResizeData(Job):
    """One resize of every picture."""

    data: Data
    resolution: int


class Train(Job):
    """One run: a network trained at one resolution from one seed."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    seed: int
    training: Training
    device: Device
    room: str
    """The memory that was too little for it where there is more now: why it is trained again; else blank."""


class Evaluate(Job):
    """One run, scored at every resolution of the sweep."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    seed: int
    resolutions: tuple[int, ...]
    device: Device


class Profile(Job):
    """The cost of one network at every resolution."""

    architecture: Architecture
    resolutions: tuple[int, ...]
    precision: Precision
    profiling: Profiling
    device: Device


class Summarise(Job):
    """Every network layer by layer."""

    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]


class Explain(Job):
    """The evidence of one run, by every method."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    seed: int
    smallest: int
    """The smallest resolution of the sweep: it decides which one block is read at all of them."""
    explainability: Explainability
    device: Device


class CompareExplanations(Job):
    """The evidence of one network across resolutions and seeds."""

    architecture: Architecture
    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]


class MeasureSteps(Job):
    """What a training of one network takes on a machine, at every resolution; asked by `resomap plan` and by no rule."""

    architecture: Architecture
    resolutions: tuple[int, ...]
    classes: int
    training: Training
    runtime: Runtime
    device: Device
    machine: str
    """The processor or the card: what was measured on another says nothing here."""

    def of_cell(self, resolution: int) -> Self:
        """The same of one resolution: what its record is known by."""
        return self.model_copy(update={"resolutions": (resolution,)})


class Aggregate(Job):
    """The tidy tables of the whole sweep, and the choice."""

    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    explain: bool
    report: Report


class Plot(Job):
    """Every figure."""

    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    explain: bool
    confidence: float


class BuildReport(Job):
    """The report."""

    experiment: Experiment
    data: Data
    training: Training
    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    explain: bool
    report: Report


class PartialReport(Aggregate, Plot, BuildReport):
    """Tables, figures and report of what there is so far."""


class Track(Job):
    """The copy of every run in MLflow."""

    experiment: Experiment
    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    mlflow: Mlflow
