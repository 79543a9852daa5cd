"""The job types: one frozen type per rule, the contract between the rule and its entry point.

What changes the numbers of a result is a field of its job; what only changes the speed is not. The
canonical JSON of a job is its identity: Snakemake compares it with the one that it recorded. A job
that declares a field is run again when the value of that field changes.
"""

import json
from typing import Self

from pydantic import ValidationError

from resomap.config.architecture import Architecture
from resomap.config.data import Data, Filter
from resomap.config.deploy import DeployPrecision, RuntimeName
from resomap.config.evaluation import Evaluation
from resomap.config.report import Report
from resomap.config.schema import (
    Device,
    Experiment,
    Explainability,
    Mlflow,
    Profiling,
    Runtime,
)
from resomap.config.start import Start
from resomap.config.training import Precision, Training
from resomap.config.types import Section
from resomap.errors import ResoMapError


class Job(Section):
    """A unit of work; `code` is the digest of the code that does it."""

    code: str

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `to_json` wrote; ResoMapError where the text is not such a job."""
        try:
            # Strict, because lax mode accepts text for numbers.
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
                for problem in error.errors()
            )
            raise ResoMapError(f"--job is not a valid {cls.__name__} job: {problems}") from None


class CheckNetworks(Job):
    """Every network built once at every resolution, on no device; for no rule."""

    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    images_per_pass: int
    """Fewest images in a training pass of one process: BatchNorm may need two."""
    gradcam_layer: str | None
    attribution_methods: tuple[str, ...]
    dropout: float | None
    drop_path: float | None
    start: Start
    """What trainings start from."""
    freeze_bn: bool
    """Whether BatchNorm keeps its statistics: networks without it are named."""
    filter: Filter
    """How images are resized: weights trained with another filter are named."""


class PrepareData(Job):
    """Every image stored once, at native resolution."""

    data: Data
    listing: str
    """Digest of the user's files; blank where the configuration determines the images."""


class ResizeData(Job):
    """Every image at one resolution."""

    data: Data
    resolution: int


class Train(Job):
    """One run: a model trained at one resolution from one seed."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    seed: int
    training: Training
    device: Device
    retry_reason: str
    """Why a run that did not fit is trained again: the memory that was too little; else blank."""


class Evaluate(Job):
    """One run, scored at every resolution of the sweep in every mode."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    seed: int
    resolutions: tuple[int, ...]
    evaluation: Evaluation
    training: Training
    """The recipe of the run, which fine-tuning shares."""
    device: Device


class Profile(Job):
    """The cost of one model at every resolution."""

    architecture: Architecture
    resolutions: tuple[int, ...]
    precision: Precision
    profiling: Profiling
    device: Device


class Summarise(Job):
    """The layers of every model."""

    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]


class Explain(Job):
    """The explanations of one run, by every method."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    seed: int
    smallest_resolution: int
    """The smallest of the sweep: it determines the one block that is read at every resolution."""
    explainability: Explainability
    device: Device


class CompareExplanations(Job):
    """The explanations of one model compared across resolutions and seeds."""

    architecture: Architecture
    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    methods: tuple[str, ...]


class Export(Job):
    """One run, exported for test images of one resolution and proven against PyTorch."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    seed: int
    eval_resolution: int
    runtimes: tuple[RuntimeName, ...]
    precisions: tuple[DeployPrecision, ...]

    @property
    def title(self) -> str:
        """Return the run and the test resolution, for messages."""
        model, trained = self.architecture.name, f"trained at {self.resolution} px"
        return f"{model} {trained}, seed {self.seed}, for images of {self.eval_resolution} px"


class CompareExports(Job):
    """The table of the exported networks."""

    report: Report
    runtimes: tuple[RuntimeName, ...]
    precisions: tuple[DeployPrecision, ...]


class CompareDevices(Job):
    """The cost of the exported networks on other devices, as a table and a figure."""

    measurements: dict[str, str]
    """The sha256 of the measurements of every device, by their files."""


class ComparePreprocessing(Job):
    """One exported cell, given test images of one resolution by other preprocessings."""

    data: Data
    data_code: str
    architecture: Architecture
    resolution: int
    eval_resolution: int
    seeds: tuple[int, ...]
    compared_precision: DeployPrecision
    confidence: float


class TabulatePreprocessing(Job):
    """The table and the figure of other preprocessings."""

    confidence: float


class CheckPreprocessing(Job):
    """The table of other preprocessings, held to the limit of the configuration."""

    max_flips: float | None


class MeasureSteps(Job):
    """The time and memory of a training step of one model; for `resomap plan`, and for no rule."""

    architecture: Architecture
    resolutions: tuple[int, ...]
    native_side: int | None
    """Side of the images that crops are cut from; None where those are at each resolution."""
    classes: int
    training: Training
    runtime: Runtime
    device: Device
    machine: str
    """The processor or the GPU: measurements of another one are not used."""

    def for_resolution(self, resolution: int) -> Self:
        """Return the job of one resolution, which identifies its record."""
        return self.model_copy(update={"resolutions": (resolution,)})


class Recipes(Section):
    """What determines the job of every run and model beside its model, resolution and seed."""

    data: Data
    data_code: str
    listing: str
    training: Training
    evaluation: Evaluation
    explainability: Explainability | None
    """None where runs are not explained: then it changes nothing."""
    profiling: Profiling
    device: Device
    codes: dict[str, str]
    """The digest of the code of every stage."""
    own_codes: dict[str, str]
    """The digest of the files of every model that is a function of the user."""


class SweepJob(Job):
    """A job that reads results of every run, and only those of the sweep as configured now."""

    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    recipes: Recipes


class Aggregate(SweepJob):
    """The tables of the whole sweep, and the choice."""

    explain: bool
    report: Report
    rounds: str
    """Digest of rounds.json, whose looks share the error; blank without rounds."""


class Plot(Job):
    """Every figure."""

    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    explain: bool
    confidence: float
    tables: str
    """Digests of the job whose tables are drawn."""


class BuildReport(Job):
    """The report."""

    experiment: Experiment
    data: Data
    training: Training
    models: tuple[Architecture, ...]
    resolutions: tuple[int, ...]
    seeds: tuple[int, ...]
    evaluation: Evaluation
    explainability: Explainability
    profiling: Profiling
    report: Report
    tables: str
    """Digests of the job whose tables are described."""
    figures: str
    """Digests of the job whose figures are shown."""


class PartialReport(Aggregate, Plot, BuildReport):
    """Tables, figures and report of the results that exist."""


class Track(SweepJob):
    """The copy of every run in MLflow."""

    experiment: Experiment
    mlflow: Mlflow
