"""The whole configuration as one tree of frozen types: the meaning and valid values of every key.

The types have no defaults: those stand in `config/*.yaml` only. `config/README.md` is generated
from both.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from resomap.config.architecture import Architecture
from resomap.config.data import Data
from resomap.config.deploy import Deploy
from resomap.config.evaluation import Evaluation
from resomap.config.report import Report
from resomap.config.training import Training
from resomap.config.types import (
    MAX_COUNT,
    Distinct,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seconds,
    Section,
    Seed,
    SideLength,
)
from resomap.config.variants import VariantName, check_first_variant

CONFIG_FILES = (
    *("config", "sweep", "models", "data"),
    *("training", "explainability", "system", "mlflow"),
)
"""Stems of the files in config/, in the order in which they are merged."""

Device = Literal["auto", "cpu", "cuda"]
Method = Literal[
    "gradcam",
    "hirescam",
    "gradcam_plus_plus",
    "integrated_gradients",
    "saliency",
    "smoothgrad",
    "guided_backprop",
    "occlusion",
]
LAYER_METHODS: tuple[Method, ...] = ("gradcam", "hirescam", "gradcam_plus_plus")
"""The methods that read the maps of a layer; the others read the gradient at the image."""


class Experiment(Section):
    """The name of the experiment in this working directory."""

    name: Annotated[str, Field(min_length=1, max_length=200)] | None
    """Title of the experiment and of its report; null takes the name of the dataset, of its
    folder or of its list."""

    @property
    def title(self) -> str:
        """Return the name, which `build_config` fills in where it is null."""
        return self.name or "ResoMap"


class Sweep(Section):
    """The grid: every model at every resolution with every seed."""

    models: Distinct[str]
    """Models to train, by their names in models.yaml."""
    resolutions: Distinct[SideLength]
    """Sides of the network's input in pixels. Every run is also evaluated at each of the other
    resolutions."""
    seeds: Distinct[Seed]
    """Seeds of initial weights, order of the images and augmentation. Every cell uses the same
    seeds."""


class Faithfulness(Section):
    """Whether the model uses the areas that a map ranks highest.

    Deletion blurs areas in the order of the map, insertion restores them in that order.
    """

    images: NonNegativeInt
    """Number of explained images that are tested; 0 for none."""
    bandwidths: Distinct[Annotated[int, Field(gt=0, le=4096)]]
    """Cells per side to which maps are reduced first, so that a fine grid is no advantage.
    Bandwidths finer than a map are skipped."""


class Sanity(Section):
    """The sanity check: maps must change when the model is re-initialised (Adebayo et al. 2018).

    The head and the last block are re-initialised.
    """

    images: NonNegativeInt
    """Number of explained images that are explained again, at least 2; 0 for none."""
    draws: Annotated[int, Field(ge=5, le=1000)]
    """Number of re-initialisations."""

    @model_validator(mode="after")
    def _check_image_pairs(self) -> Self:
        # Each map is also compared with those of other images, so one image is not enough.
        if self.images == 1:
            raise ValueError(
                "images: 1 image cannot be compared with another: take 2 or more, or 0"
            )
        return self


class Explainability(Section):
    """Which explanations are computed, on how many images, and how they are tested."""

    enabled: bool
    """Explain the runs."""
    methods: Distinct[Method]
    """Attribution methods."""
    target: Literal["label", "prediction", "contrast"]
    """Explained output: the label's logit, the predicted class's logit, or the label's minus
    its strongest rival's (contrast)."""
    # At least 2: the floor of an agreement is the map of another image.
    images: Annotated[int, Field(ge=2, le=MAX_COUNT)]
    """Number of explained test images, stratified by class and the same in every cell."""
    layer: Annotated[str, Field(min_length=1)]
    """Layer of Grad-CAM: auto (the deepest block whose map is at least 6 wide), or a module
    name."""
    ig_steps: Annotated[int, Field(ge=2, le=1000)]
    """Steps of Integrated Gradients."""
    smoothgrad_samples: Annotated[int, Field(ge=2, le=1000)]
    """Noisy copies of an image that SmoothGrad averages over."""
    pointing_tolerance: Annotated[float, Field(ge=0, lt=0.5)]
    """Distance from the object, in image widths, that the pointing game still counts as a hit.
    The chance level accounts for it."""
    faithfulness: Faithfulness
    """Deletion and insertion."""
    sanity: Sanity
    """The sanity check. Methods that fail it are greyed out."""
    interventions: bool
    """Exchange backgrounds and reverse stickers to test what the predictions depend on. Needs
    masks."""

    @property
    def enabled_methods(self) -> tuple[Method, ...]:
        """Return the methods; none where runs are not explained."""
        return self.methods if self.enabled else ()

    @property
    def gradcam_layer(self) -> str | None:
        """Return the layer of Grad-CAM; None where no method reads a layer."""
        reads_layer = self.enabled and any(method in LAYER_METHODS for method in self.methods)
        return self.layer if reads_layer else None


class Profiling(Section):
    """How cost is measured."""

    cpu_threads: Annotated[int, Field(gt=0, le=1024)]
    """Threads of PyTorch, or of a runtime, during measurements on a CPU."""
    memory_format: Literal["channels_last", "contiguous"]
    """Memory layout of weights and images in PyTorch."""
    variants: Distinct[VariantName]
    """Measured variants: eager, compiled, cuda_graph or training_step, optionally with -bf16,
    -contiguous and so on; onnxruntime, onnxruntime-int8, openvino and openvino-int8 measure the
    export on the CPU (need `resomap[deploy]`, `resomap[openvino]`). The first one ranks the
    cells."""
    batch_size: Annotated[int, Field(ge=2, le=65536)]
    """Batch size for throughput and training steps. Latency is always measured at batch size 1
    too."""
    batch_sweep: bool
    """Also measure throughput at 2, 4, 8 ... up to the largest batch that fits."""
    end_to_end: bool
    """Also measure decoding, resizing and copying an image file."""
    energy: bool
    """Measure energy where the machine has sensors (NVML, RAPL). Takes half a minute per
    cell."""
    warmup_seconds: Seconds
    """Warm-up of every cell before its first measurement, in seconds."""
    # The spread inside a round misses the drift of the machine, so one round is not enough.
    rounds: Annotated[int, Field(ge=5, le=10_000)]
    """Smallest number of rounds over all cells in random order. Intervals come from the spread
    between rounds."""
    round_seconds: Seconds
    """Measuring time of one cell in one round, in seconds."""
    target_relative_error: Annotated[float, Field(gt=0, lt=1)]
    """Rounds continue until the 95 % interval of the median is within this fraction of it, or
    max_seconds is reached."""
    max_seconds: Seconds
    """Largest measuring time of one cell, in seconds."""

    @model_validator(mode="after")
    def _check_first_variant(self) -> Self:
        check_first_variant(self.variants[0])
        return self


Execution = Literal["eager", "compiled", "cuda_graph"]


class Runtime(Section):
    """How a training runs on the machine. Changing it retrains nothing.

    It changes speed, and a step by float error at most: for the one exception see `execution`.
    """

    # Passed as a resource of the rule: Snakemake never compares resources (decision 0006).
    gpus: Annotated[int, Field(gt=0, le=64)]
    """GPUs per training (DistributedDataParallel if more than one)."""
    num_workers: Annotated[int, Field(ge=0, le=1024)]
    """Threads that prepare batches ahead if the images do not fit on the GPU."""
    pin_memory: bool
    """Gather batches in page-locked memory where images do not fit on the GPU, so that copying
    them overlaps with computing."""
    cudnn_benchmark: bool
    """Let cuDNN benchmark its algorithms and use the fastest. The choice differs between
    processes, so on a GPU a resumed training does not have the same bytes."""
    deterministic: bool
    """On a GPU, use deterministic kernels only, so that a resumed training has the same bytes.
    cudnn_benchmark is then off, and an operator without such a kernel stops the training."""
    execution: Execution
    """How a training step runs. eager: kernel by kernel. cuda_graph: all kernels of a pass at
    once, for small images on a GPU; a pass is equal within float error. compiled: torch.compile,
    which draws other masks of dropout under some versions of PyTorch: set it before a sweep."""
    save_every_seconds: PositiveFloat
    """Seconds between two saves of the training state, from which a killed training resumes.
    Longer if saving would take 2 % of the time."""
    save_every_steps: PositiveInt | None
    """Also save after this many optimizer steps; null saves by time only."""
    tensorboard: bool
    """Write TensorBoard event files beside each run: `tensorboard --logdir results/runs`."""

    @model_validator(mode="after")
    def _check_execution(self) -> Self:
        if self.gpus > 1 and self.execution != "eager":
            raise ValueError(
                f"execution: {self.execution} trains on one GPU, and gpus is {self.gpus}: set "
                "execution: eager, or gpus: 1"
            )
        return self


class System(Section):
    """The machine."""

    device: Device
    """auto uses an NVIDIA GPU if there is one."""
    slots_per_gpu: Annotated[int, Field(gt=0, le=64)]
    """Jobs that may share one GPU; `--resources gpu=` then takes GPUs times slots. Each gets an
    equal part of the memory, its CUDA context included. Profiling never shares."""
    training: Runtime
    """How a training runs on the machine."""
    profiling: Profiling
    """How cost is measured."""
    deploy: Deploy | None
    """Where trained networks will run; null exports none."""

    @model_validator(mode="after")
    def _check_device(self) -> Self:
        if self.device == "cpu" and self.training.execution == "cuda_graph":
            raise ValueError(
                "training.execution: cuda_graph needs an NVIDIA GPU, and device is cpu: set "
                "execution: eager"
            )
        return self


class Mlflow(Section):
    """Copies of finished runs in MLflow."""

    enabled: bool
    """Also copy in a plain `snakemake`, along with the report. `snakemake track` always
    copies."""
    tracking_uri: Annotated[str, Field(min_length=1)]
    """Tracking server or database: http://host:port or sqlite:///file. A file is relative to
    the working directory."""
    experiment: Annotated[str, Field(min_length=1)] | None
    """Experiment in MLflow; null uses the title of the experiment."""


class Config(Section):
    """The whole configuration: the files of config/, merged with the user's overlays."""

    experiment: Experiment
    """The name of the experiment (config.yaml)."""
    report: Report
    """How results are reported (config.yaml)."""
    evaluation: Evaluation
    """How every run is evaluated at every resolution (config.yaml)."""
    sweep: Sweep
    """The grid (sweep.yaml)."""
    models: Annotated[tuple[Architecture, ...], Field(min_length=1)]
    """Models that a sweep may name (models.yaml)."""
    data: Data
    """The dataset (data.yaml)."""
    training: Training
    """The training recipe (training.yaml)."""
    explainability: Explainability
    """Explanations (explainability.yaml)."""
    system: System
    """The machine (system.yaml)."""
    mlflow: Mlflow
    """Copies of finished runs in MLflow (mlflow.yaml)."""
