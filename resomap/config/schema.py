"""The sections of the configuration, as frozen types: what a key means, and what it may hold.

The types carry no defaults: those stand in `config/*.yaml`, once. `config/README.md` is made from both.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from resomap.config.data import Data
from resomap.config.training import Training
from resomap.config.types import (
    Distinct,
    Fraction,
    Identifier,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Section,
    Seed,
    SideLength,
)

Device = Literal["auto", "cpu", "cuda"]
Method = Literal[
    "gradcam", "hirescam", "gradcam_plus_plus", "integrated_gradients", "saliency", "smoothgrad", "guided_backprop", "occlusion"
]  # fmt: skip
VariantName = Annotated[
    str,
    Field(
        pattern=r"^(eager|compiled|cuda_graph|training_step)(-(fp32|bf16|fp16))?(-(channels_last|contiguous))?$"
    ),
]


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

    models: Distinct[str]
    """Models to train, by their names in models.yaml."""
    resolutions: Distinct[SideLength]
    """Sides of the network's input in pixels; every run is also evaluated at each of them."""
    seeds: Distinct[Seed]
    """Seeds of initial weights, order and augmentation; the same at every resolution."""


class Architecture(Section):
    """One network that a sweep may name."""

    name: Identifier
    """Its name in `sweep.models`."""
    family: Identifier
    """Groups networks in paths and plots."""
    builder: str
    """What builds it: a torchvision model builder, or simple_cnn, tiny_cnn."""
    min_resolution: PositiveInt
    """The smallest side its layers can take."""
    width_mult: PositiveFloat | None = None
    """Channel multiplier, for builders that have one."""
    channels: tuple[PositiveInt, ...] | None = None
    """Channels of each stage, for simple_cnn and tiny_cnn."""
    bn_momentum: Annotated[float, Field(gt=0, le=1)] | None = None
    """Momentum of every BatchNorm; null keeps the builder's."""
    mmacs_224: PositiveInt | None = None
    """Millions of multiply-accumulates at 224 px, for the estimate before a run; null where nobody counted."""


class Faithfulness(Section):
    """Whether what a map points at is what the network uses: areas are blurred in the map's order, and restored in it."""

    images: NonNegativeInt
    """How many of the explained pictures are blurred and restored; 0 for none."""
    bandwidths: Distinct[PositiveInt]
    """Cells a side that maps are reduced to before they are compared, so that a fine grid is no advantage; finer than a map: left out."""


class Sanity(Section):
    """Whether a map depends on what the network has learnt: its head and last block are drawn anew (Adebayo et al. 2018)."""

    images: NonNegativeInt
    """How many of the explained pictures are explained again, two or more; 0 for none."""
    draws: Annotated[int, Field(ge=5)]
    """How often the weights are drawn anew."""

    @model_validator(mode="after")
    def _can_compare(self) -> Self:
        if self.images == 1:
            raise ValueError(
                "images: one has no other to be compared with: take 2 or more, or 0 for none"
            )
        return self


class Explainability(Section):
    """Which evidence is asked for, and on how many pictures."""

    enabled: bool
    """Whether runs are explained at all."""
    methods: Distinct[Method]
    """Attribution methods."""
    target: Literal["label", "prediction", "contrast"]
    """What is explained: the label's logit, the predicted class's, or the label's minus its strongest rival's."""
    images: Annotated[int, Field(ge=2)]
    """Test pictures to explain, the same in every cell, stratified by class."""
    layer: str
    """Grad-CAM's block: auto (the deepest whose map is at least 6 wide), or a module name."""
    ig_steps: Annotated[int, Field(ge=2)]
    """Steps of Integrated Gradients."""
    smoothgrad_samples: Annotated[int, Field(ge=2)]
    """Noisy copies of a picture that SmoothGrad averages over."""
    pointing_tolerance: Annotated[float, Field(ge=0, lt=0.5)]
    """How far from the object, in picture widths, the pointing game still counts as a hit; its chance is reported beside it."""
    faithfulness: Faithfulness
    """Deletion and insertion."""
    sanity: Sanity
    """The gate of parameter randomisation; a method that fails it is struck out."""
    interventions: bool
    """Whether objects are laid on other pictures, and stickers reversed, to see what the answers follow; needs masks."""


class Profiling(Section):
    """How cost is measured."""

    cpu_threads: PositiveInt
    """Torch threads of a measurement on a CPU."""
    memory_format: Literal["channels_last", "contiguous"]
    """Layout of weights and pictures in memory."""
    variants: Distinct[VariantName]
    """What is timed: eager, compiled, cuda_graph, training_step, with -bf16, -contiguous ... where it is not the run's; the first chooses."""
    batch_size: Annotated[int, Field(ge=2)]
    """Batch of the throughput measurement and of the training step; latency is always measured at batch 1 too."""
    batch_sweep: bool
    """Whether throughput is also measured at 2, 4, 8 ... up to the largest batch that fits."""
    end_to_end: bool
    """Whether decoding, resizing and copying a file are timed beside the network."""
    energy: bool
    """Whether energy is measured where the machine can (NVML, RAPL): half a minute a cell."""
    warmup_seconds: PositiveFloat
    """Warm-up of every cell before its first measurement."""
    rounds: Annotated[int, Field(ge=5)]
    """Fewest rounds over all cells in random order; the spread between them is the error."""
    round_seconds: PositiveFloat
    """Measuring time of one cell in one round."""
    target_relative_error: Annotated[float, Field(gt=0, lt=1)]
    """Rounds go on until the 95 % interval of a median between rounds is within this share of it ..."""
    max_seconds: PositiveFloat
    """... or the cell has been measured for this long."""

    @model_validator(mode="after")
    def _is_chosen_by_inference(self) -> Self:
        if self.variants[0].startswith("training_step"):
            raise ValueError(
                "variants: the first is what cells are chosen by, and a training step is no inference: list eager before it"
            )
        return self


class Runtime(Section):
    """How a training runs on the machine: its speed, never its numbers, so a change retrains nothing."""

    gpus: PositiveInt
    """GPUs of one training (DistributedDataParallel when more than one)."""
    num_workers: NonNegativeInt
    """Threads that prepare batches ahead where the pictures do not fit on the GPU."""
    pin_memory: bool
    """Page-locked memory for pictures that are copied to a GPU batch by batch."""
    cudnn_benchmark: bool
    """Let cuDNN try its algorithms and take the fastest."""
    save_every_seconds: PositiveFloat
    """A training saves its state this often, and goes on from there after a kill; less often where saving would take 2 % of the time."""
    save_every_steps: PositiveInt | None
    """Save after this many optimizer steps too; null: by the clock alone."""
    tensorboard: bool
    """Write TensorBoard event files while training, beside each run: `tensorboard --logdir results/runs`."""


class System(Section):
    """The machine."""

    device: Device
    """auto takes an NVIDIA GPU where there is one."""
    slots_per_gpu: PositiveInt
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
