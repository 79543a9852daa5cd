"""Timed workloads: forward passes in several variants, a training step, a fixed reference."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, relu
from torch.optim import AdamW

from resomap.config.deploy import RuntimeName
from resomap.config.training import Precision
from resomap.config.variants import RUNTIME_VARIANTS, TRAINING_STEP
from resomap.profiling.memory import Growth, cuda_growth_bytes, model_bytes
from resomap.system.out_of_memory import is_out_of_memory
from resomap.system.precision import allow_tf32, why_no_tf32

DTYPES = {
    **dict.fromkeys(("fp32", "tf32"), torch.float32),
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
MAX_COMPILED_CELLS = 100_000
GRAPH_WARMUP_CALLS = 3  # as in torch's CUDA graph documentation
REFERENCE_IMAGE_SHAPE = (1, 3, 64, 64)
REFERENCE_KERNEL_SHAPES = ((32, 3, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3))


class UnsupportedError(Exception):
    """A variant that this machine cannot run; the message gives the reason."""


VariantPrecision = Precision | Literal["int8"]


class Variant(NamedTuple):
    """A way to run a model: mode, precision and memory format."""

    mode: str
    precision: VariantPrecision
    memory_format: str

    @property
    def in_runtime(self) -> bool:
        """Return whether the export of the model runs, in a runtime."""
        return self.mode in RUNTIMES

    def device(self, device: torch.device) -> torch.device:
        """Return where the variant runs in a profile of `device`: runtimes stay on the CPU."""
        return torch.device("cpu") if self.in_runtime else device


@dataclass(frozen=True)
class Workload:
    """A timed unit: `run` processes one batch, `held_bytes` is its memory between calls.

    The held memory includes the batch of images. `captured_bytes` are what capturing a CUDA
    graph allocated and reserved at its peak. The graph keeps them, and its replays allocate
    nothing. A runtime has `growth`, its memory in a process of its own, and the `file_bytes` of
    its network; it holds nothing else.
    """

    run: Callable[[], object]
    held_bytes: Callable[[], int]
    captured_bytes: tuple[int, int] = (0, 0)
    growth: Growth | None = None
    file_bytes: int | None = None


WorkloadBuilder = Callable[[nn.Module, Variant, Tensor], Workload]
"""Builds the workload of a model in a variant, on float32 images (N, 3, r, r) of its device."""


def build_reference(device: torch.device) -> Callable[[], Tensor]:
    """Return the reference workload: three stride-2 convolutions with ReLU on one image.

    Float32, contiguous, weights and image from a fixed seed: the same work in every profile, so
    that latencies divided by the reference's compare between models and machines.
    """
    generator = torch.Generator().manual_seed(0)
    image, *kernels = (
        torch.randn(shape, generator=generator).to(device)
        for shape in (REFERENCE_IMAGE_SHAPE, *REFERENCE_KERNEL_SHAPES)
    )

    def run() -> Tensor:
        output = image
        for kernel in kernels:
            output = relu(conv2d(output, kernel, stride=2, padding=1))
        return output

    return run


def synchronised(workload: Workload, device: torch.device) -> Callable[[], None]:
    """Return the workload as a call that has finished when it returns."""

    def run() -> None:
        workload.run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def parse_variant(name: str, precision: Precision, memory_format: str) -> Variant:
    """Parse `MODE[-PRECISION][-MEMORY_FORMAT]`; the arguments are the defaults.

    A runtime takes contiguous images, in fp32 where its name has no int8.
    """
    mode, *rest = name.split("-")
    if name in RUNTIME_VARIANTS:
        return Variant(mode, "int8" if rest else "fp32", "contiguous")
    precisions = [part for part in get_args(Precision) if part in rest]
    memory_formats = [part for part in rest if part in MEMORY_FORMATS]
    return Variant(mode, *(precisions or [precision]), *(memory_formats or [memory_format]))


def runtimes_of(names: Sequence[str]) -> list[RuntimeName]:
    """Return the runtimes among the names of variants."""
    modes = {name.partition("-")[0] for name in names}
    return [runtime for runtime in RUNTIMES if runtime in modes]


def prepare_model(model: nn.Module, variant: Variant, device: torch.device) -> nn.Module:
    """Return a copy of `model` on `device` in the variant's layout and precision.

    Weights of a training step stay in float32: its precision is that of autocast. A runtime
    exports `model` itself.
    """
    if variant.in_runtime:
        return model
    trains = variant.mode == TRAINING_STEP
    dtype = torch.float32 if trains else DTYPES[variant.precision]
    prepared = copy.deepcopy(model).to(device, dtype)
    return prepared.to(memory_format=MEMORY_FORMATS[variant.memory_format]).train(trains)


def build_workload(model: nn.Module, variant: Variant, images: Tensor) -> Workload:
    """Build the workload of a prepared model on float32 `images` (N, 3, r, r) on its device.

    Raises UnsupportedError if the machine cannot run the variant. torch.OutOfMemoryError, if it
    does not fit, may be raised here or by the first call.
    """
    reason = why_no_tf32(images.device) if variant.precision == "tf32" else None
    if reason:
        raise UnsupportedError(reason)
    allow_tf32(variant.precision == "tf32")  # also what a compiler and a CUDA graph record
    memory_format = MEMORY_FORMATS[variant.memory_format]
    if variant.mode == TRAINING_STEP:
        return _training_step(model, variant, images.to(memory_format=memory_format))
    batch = images.to(DTYPES[variant.precision]).to(memory_format=memory_format)
    captured = (0, 0)
    if variant.mode == "cuda_graph":
        run, captured = _cuda_graph(model, batch)
    else:
        run = {"eager": _eager, "compiled": _compiled}[variant.mode](model, batch)
    return Workload(run, lambda: model_bytes(model) + batch.nbytes, captured)


def _eager(model: nn.Module, batch: Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return model(batch)

    return run


def _compiled(model: nn.Module, batch: Tensor) -> Callable[[], object]:
    _forbid_silent_eager()
    run = _eager(torch.compile(model, dynamic=False), batch)  # type: ignore[arg-type]
    try:
        run()
    # The backend raises it without a compiler, and for operators that it does not support.
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        first_line = str(error).strip().splitlines()[0]
        raise UnsupportedError(f"torch.compile: {first_line}") from error
    return run


def _forbid_silent_eager() -> None:
    """Let torch.compile compile as many cells as there are, and fail instead of running eager.

    All cells share the code of the network's forward pass, and by default dynamo stops
    compiling a code after 8 variants of it: the others would run eager under the name compiled.
    """
    import torch._dynamo

    limits = torch._dynamo.config
    limits.recompile_limit = limits.accumulated_recompile_limit = MAX_COMPILED_CELLS
    limits.fail_on_recompile_limit_hit = True


def _cuda_graph(
    model: nn.Module, batch: Tensor
) -> tuple[Callable[[], object], tuple[int, int]]:
    """Return a replay of the captured pass, and what the capture allocated and reserved."""
    if not batch.is_cuda:
        raise UnsupportedError("CUDA graphs need a CUDA device")
    return _capture(_eager(model, batch), batch.device)


def _capture(
    run: Callable[[], object], device: torch.device
) -> tuple[Callable[[], object], tuple[int, int]]:
    # Libraries initialise in their first calls, which must not be captured; torch requires
    # these calls to run on a side stream (docs: "CUDA semantics", section on graphs).
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(GRAPH_WARMUP_CALLS):
            run()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()

    def capture() -> None:
        with torch.cuda.graph(graph):
            run()

    # A replay allocates nothing: the activations live in the pool that the capture filled.
    captured = cuda_growth_bytes(capture, device)
    return graph.replay, captured


def _training_step(model: nn.Module, variant: Variant, batch: Tensor) -> Workload:
    """Build a step of the default recipe: autocast, cross-entropy, backward, fused AdamW.

    All labels are class 0, and the learning rate is tiny: neither changes the cost of a step.
    """
    optimizer = AdamW(model.parameters(), lr=1e-6, fused=True)
    labels = torch.zeros(len(batch), dtype=torch.int64, device=batch.device)
    scaler = torch.amp.GradScaler(batch.device.type, enabled=variant.precision == "fp16")
    dtype = DTYPES[variant.precision]
    enabled = dtype != torch.float32

    def run() -> object:
        with torch.autocast(batch.device.type, dtype if enabled else None, enabled=enabled):
            loss = cross_entropy(model(batch), labels)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    def held_bytes() -> int:
        state = _optimizer_bytes(optimizer)
        return model_bytes(model) + batch.nbytes + state + _gradient_bytes(model)

    return Workload(run, held_bytes)


def _optimizer_bytes(optimizer: AdamW) -> int:
    total = 0
    for values in optimizer.state.values():
        for value in values.values():
            if isinstance(value, Tensor):
                total += value.nbytes
    return total


def _gradient_bytes(model: nn.Module) -> int:
    total = 0
    for parameter in model.parameters():
        if parameter.grad is not None:
            total += parameter.grad.nbytes
    return total
