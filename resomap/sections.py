"""The sections of the configuration, as frozen types: what a key means, and what it may hold.

The types carry no defaults: those stand in `config/*.yaml`, once. `config/README.md` is made from both.
"""

from difflib import get_close_matches
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from resomap.fields import Count, Fraction, Name, Pattern, Positive, PositiveFloat, Section, Seed, Several, Share, Side
from resomap.recipe import Training

Device = Literal["auto", "cpu", "cuda"]
Method = Literal["gradcam", "integrated_gradients", "saliency"]
SOURCES = ("reef", "folder", "csv")
TORCHVISION = (
    *("CIFAR10", "CIFAR100", "STL10", "SVHN", "Flowers102"),
    *("OxfordIIITPet", "DTD", "EuroSAT", "GTSRB", "Imagenette"),
)
"""Classes of torchvision.datasets that are tested; any other that classifies is taken at the user's risk."""
MOST_HELD_OUT = 0.9


def _known_source(name: str) -> str:
    if name in SOURCES or name[:1].isupper():
        return name
    names = {known.lower(): known for known in (*SOURCES, *TORCHVISION)}
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"; did you mean {names[close[0]]}?" if close else f"; known are {', '.join(names.values())} and other classes of torchvision"
    raise ValueError(f"unknown data set {name!r}{hint}")


class Experiment(Section):
    """What this working directory is about."""

    name: Annotated[str, Field(min_length=1)]
    """Title of the experiment; heads the report."""


class Report(Section):
    """How the results are told."""

    margin: Annotated[float, Field(gt=0, lt=1)]
    """A cheaper cell wins when its accuracy is shown to lie within this of the best cell's (0.02 is two points)."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Confidence of every interval."""
    max_latency_ms: PositiveFloat | None
    """Budget: cells whose p90 latency at batch 1 is above this are not chosen; null for none."""
    min_accuracy: Fraction | None
    """Budget: cells with a validation accuracy below this are not chosen; null for none."""


class Sweep(Section):
    """The grid: every model at every resolution with every seed."""

    models: Several[str]
    """Models to train, by their names in models.yaml."""
    resolutions: Several[Side]
    """Sides of the network's input in pixels; every run is also evaluated at each of them."""
    seeds: Several[Seed]
    """Seeds of initial weights, order and augmentation; the same at every resolution."""


class Architecture(Section):
    """One network that a sweep may name."""

    name: Name
    """Its name in `sweep.models`."""
    family: Name
    """Groups networks in paths and plots."""
    builder: str
    """What builds it: a torchvision model builder, or simple_cnn, tiny_cnn."""
    min_resolution: Positive
    """The smallest side its layers can take."""
    width_mult: PositiveFloat | None = None
    """Channel multiplier, for builders that have one."""
    channels: tuple[Positive, ...] | None = None
    """Channels of each stage, for simple_cnn and tiny_cnn."""
    bn_momentum: Annotated[float, Field(gt=0, le=1)] | None = None
    """Momentum of every BatchNorm; null keeps the builder's."""
    mmacs_224: Positive | None = None
    """Millions of multiply-accumulates at 224 px, for the estimate before a run; null where nobody counted."""


class Reef(Section):
    """The embedded dataset of striped fish, whose answer is known."""

    train: Annotated[int, Field(ge=8)]
    """Training pictures."""
    val: Annotated[int, Field(ge=8)]
    """Validation pictures: checkpoints and the choice are made on them."""
    test: Annotated[int, Field(ge=8)]
    """Test pictures: read once, for the numbers that are reported."""
    seed: Seed
    """Seed of the pictures."""
    frequencies: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Stripes across the picture (cycles per image) of the groups broad, medium and fine."""
    shortcut: Fraction | None
    """Probability that a corner sticker agrees with bars or stripes; null for no sticker."""


class Folder(Section):
    """Pictures in a folder a class; these may stand in folders train, val and test."""

    path: str | None
    """The folder."""
    masks: str | None
    """Folder of masks, laid out as `path` is, as PNG: where a mask is not 0 the object is; null for none."""
    group: Pattern | None
    """Regular expression whose match in a picture's path names its group (a patient), which never stands in two splits; null for none."""


class Csv(Section):
    """Pictures that a table lists: columns path and label, and where known split, group, mask, and xmin, ymin, xmax, ymax in pixels."""

    path: str | None
    """The CSV file; paths in it count from its folder."""


class Torchvision(Section):
    """A classification data set of torchvision, by the name of its class in `data.dataset`."""

    root: str | None
    """Folder where it lies, as torchvision lays it out."""
    download: bool
    """Whether to fetch it where it is missing."""


class Splits(Section):
    """How pictures are dealt to train, val and test where their source does not say; stratified by class, a group on one side."""

    val: Share
    """Share of the pictures for validation."""
    test: Share
    """Share of the pictures for the test."""
    seed: Seed
    """Another seed deals other pictures."""


class Data(Section):
    """Pictures, and how they reach each resolution."""

    dataset: Annotated[str, AfterValidator(_known_source)]
    """Where the pictures come from: reef (drawn), folder, csv, or a class of torchvision.datasets such as CIFAR10."""
    native_resolution: Side | None
    """Side at which every picture is stored once, in pixels; null: reef 128, else the median short side (8 to 512) when first prepared."""
    filter: Literal["box", "bilinear", "bicubic", "lanczos"]
    """Antialiasing filter of the resize to native_resolution, and of the one from there to each resolution."""
    aspect: Literal["squash", "center_crop", "letterbox"]
    """What makes a picture square: its sides are scaled apart, its middle is cut out, or it is set on grey."""
    on_bad_image: Literal["error", "skip"]
    """Whether a file that is no whole picture ends the preparation, once all of them are looked at and named, or is left out and counted."""
    splits: Splits
    """How pictures are dealt where their source does not say."""
    folder: Folder | None
    """A folder a class."""
    csv: Csv | None
    """A table of pictures."""
    torchvision: Torchvision | None
    """A data set of torchvision."""
    reef: Reef | None
    """The embedded dataset."""

    @property
    def variant(self) -> str:
        """The section that says more about `dataset`."""
        return self.dataset if self.dataset in SOURCES else "torchvision"

    @model_validator(mode="after")
    def _is_told_where(self) -> Self:
        for variant, key in (("folder", "path"), ("csv", "path"), ("torchvision", "root")):
            if self.variant == variant and getattr(getattr(self, variant), key, None) is None:
                raise ValueError(f"dataset: {self.dataset} needs {variant}.{key}, or {key} beside it for short")
        if self.splits.val + self.splits.test > MOST_HELD_OUT:
            raise ValueError(f"splits.val and splits.test leave less than {1 - MOST_HELD_OUT:.0%} of the pictures to train on")
        return self


class Explainability(Section):
    """Which evidence is asked for, and on how many pictures."""

    enabled: bool
    """Whether runs are explained at all."""
    methods: Several[Method]
    """Attribution methods."""
    target: Literal["label", "prediction", "contrast"]
    """What is explained: the label's logit, the predicted class's, or the label's minus its strongest rival's."""
    pictures: Annotated[int, Field(ge=2)]
    """Test pictures to explain, the same in every cell, stratified by class."""
    layer: str
    """Grad-CAM's block: auto (the deepest whose map is at least 6 wide), or a module name."""
    ig_steps: Annotated[int, Field(ge=2)]
    """Steps of Integrated Gradients."""


class Provision(Section):
    """How pictures are brought in: nothing that changes what is stored."""

    download: bool
    """Whether a data set of torchvision is fetched where it is missing."""
    resolutions: tuple[int, ...]
    """Sides that will be needed, so that room for them can be asked for at once."""


class Profiling(Section):
    """How cost is measured."""

    cpu_threads: Positive
    """Torch threads of a measurement on a CPU."""
    memory_format: Literal["channels_last", "contiguous"]
    """Layout of weights and pictures in memory."""
    batch_size: Annotated[int, Field(ge=2)]
    """Batch of the throughput measurement; latency is always measured at batch 1 too."""
    warmup_seconds: PositiveFloat
    """Warm-up of every cell before its first measurement."""
    rounds: Annotated[int, Field(ge=5)]
    """Rounds over all cells in random order; the spread between them is the error."""
    round_seconds: PositiveFloat
    """Measuring time of one cell in one round."""


class Runtime(Section):
    """How a training runs on the machine: its speed, never its numbers, so a change retrains nothing."""

    gpus: Positive
    """GPUs of one training (DistributedDataParallel when more than one)."""
    num_workers: Count
    """Threads that prepare batches ahead where the pictures do not fit on the GPU."""
    pin_memory: bool
    """Page-locked memory for pictures that are copied to a GPU batch by batch."""
    cudnn_benchmark: bool
    """Let cuDNN try its algorithms and take the fastest."""
    save_every_seconds: PositiveFloat
    """A training saves its state this often, and goes on from there after a kill; less often where saving would take 2 % of the time."""
    save_every_steps: Positive | None
    """Save after this many optimizer steps too; null: by the clock alone."""
    tensorboard: bool
    """Write TensorBoard event files while training, beside each run: `tensorboard --logdir results/runs`."""


class System(Section):
    """The machine."""

    device: Device
    """auto takes an NVIDIA GPU where there is one."""
    slots_per_gpu: Positive
    """Jobs of small networks that share one GPU; the limit is then `--resources gpu=` GPUs times slots. A profile is always alone."""
    training: Runtime
    """How a training runs on the machine."""
    profiling: Profiling
    """How cost is measured."""


class Mlflow(Section):
    """A copy of finished runs in MLflow."""

    enabled: bool
    """Whether a plain `snakemake` copies too, when the report is made; `snakemake track` always does."""
    tracking_uri: Annotated[str, Field(min_length=1)]
    """A server or a database: http://host:port, sqlite:///file; a file is relative to the working directory."""
    experiment: Annotated[str, Field(min_length=1)] | None
    """MLflow's experiment; null takes experiment.name."""


class Config(Section):
    """The whole configuration: the files of config/, merged, and the user's own on top."""

    experiment: Experiment
    """What this working directory is about (config.yaml)."""
    report: Report
    """How the results are told (config.yaml)."""
    sweep: Sweep
    """The grid (sweep.yaml)."""
    models: Annotated[tuple[Architecture, ...], Field(min_length=1)]
    """Every network that a sweep may name (models.yaml)."""
    data: Data
    """Pictures (data.yaml)."""
    training: Training
    """One training (training.yaml)."""
    explainability: Explainability
    """Evidence (explainability.yaml)."""
    system: System
    """The machine (system.yaml)."""
    mlflow: Mlflow
    """A copy of finished runs (mlflow.yaml)."""
