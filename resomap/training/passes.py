"""Forward and backward of a micro-batch at a precision: eager, compiled, or as a CUDA graph.

A network of small images is bound by the host, which launches hundreds of kernels in a pass. A
graph launches them all at once; `torch.compile` makes fewer of them. Both hold for one shape of
the images, and other shapes (the rest of an epoch) run eager.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from resomap.config.schema import Execution
from resomap.config.training import Precision
from resomap.errors import DeviceError, ResoMapError
from resomap.system.determinism import NO_KERNEL_TEXT
from resomap.system.out_of_memory import is_out_of_memory
from resomap.system.precision import tf32_of
from resomap.training.memory import BufferSnapshot

EXECUTION_KEY = "config/system.yaml: system.training.execution"
GRAPH_WARMUP_PASSES = 3  # as in torch's documentation of CUDA graphs
AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
Body = Callable[[], tuple[Tensor, Tensor]]


@contextmanager
def autocast(precision: Precision, device: torch.device) -> Iterator[None]:
    """Compute at `precision` inside the block: forward passes, and backward passes as well.

    In the backward pass autocast has no part, but the flags of TF32 do.
    """
    dtype = AUTOCAST_DTYPES.get(precision)
    casting = torch.autocast(device.type, dtype) if dtype else nullcontext()
    with tf32_of(precision), casting:
        yield


def build_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Return the gradient scaler of `precision`; a disabled one passes everything through.

    Only fp16 needs it: its smallest normal number is 6e-5, so small gradients become zero. bf16
    has the exponent of float32.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


class StepOutput(NamedTuple):
    """The mean loss (), logits (B, classes) and labels (B,) of one micro-batch."""

    loss: Tensor
    logits: Tensor
    labels: Tensor


class EagerPass:
    """Adds the gradients of a micro-batch to those of the parameters of `model`."""

    keeps_gradients = False
    """Whether gradients must stay where they are: zeroed between steps, never freed."""

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        scaler: torch.amp.GradScaler,
        precision: Precision,
        device: torch.device,
    ) -> None:
        self.model, self.criterion, self.scaler = model, criterion, scaler
        self.precision, self.device = precision, device

    def __call__(self, images: Tensor, labels: Tensor, share: Tensor | float) -> StepOutput:
        """Run the pass; `share` is the weight of the micro-batch's loss in that of the step."""
        return StepOutput(*self._run(self.model, images, labels, share), labels)

    def _run(
        self, model: Callable[..., Tensor], images: Tensor, labels: Tensor, share: Any
    ) -> tuple[Tensor, Tensor]:
        with autocast(self.precision, self.device):
            logits = model(images)
            loss = self.criterion(logits, labels)
            # Scaled before the backward pass, because that is where fp16 gradients underflow.
            self.scaler.scale(loss * share).backward()
        return loss.detach(), logits.detach()

    def forget_shape(self) -> None:
        """Free what was made for one shape of images, so that another can take its place."""


class CompiledPass(EagerPass):
    """A pass through `torch.compile`, for the shape that comes first."""

    _shape: torch.Size | None
    _compiled: Any

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        from torch._inductor import config

        # Dropout draws from torch's generator, so that masks follow from (seed, epoch, step).
        # On a CPU they are those of eager mode in torch 2.15, but not in 2.11.
        config.fallback_random = True
        self.forget_shape()

    def __call__(self, images: Tensor, labels: Tensor, share: Tensor | float) -> StepOutput:
        """Run the pass; the first call compiles, for up to a minute."""
        if self._shape is None:
            self._shape = images.shape
            return StepOutput(*self._first_run(images, labels, share), labels)
        model = self._compiled if images.shape == self._shape else self.model
        return StepOutput(*self._run(model, images, labels, share), labels)

    def _first_run(self, images: Tensor, labels: Tensor, share: Any) -> tuple[Tensor, Tensor]:
        try:
            return self._run(self._compiled, images, labels, share)
        except RuntimeError as error:
            # Neither is a failure of the compiler, and both have messages of their own.
            if is_out_of_memory(error) or NO_KERNEL_TEXT in str(error):
                raise
            # The first line names the part of torch.compile that failed, the second the reason.
            reason = " ".join(str(error).split("\n")[:2])
            raise ResoMapError(
                f"{EXECUTION_KEY}: compiled: torch.compile fails here ({reason}); use eager"
            ) from error

    def forget_shape(self) -> None:
        """Compile again for the next shape."""
        # Compiled code is cached by source line, and a ninth version of one line would run
        # eager without a word: earlier networks and shapes do not count.
        torch.compiler.reset()
        self._shape = None
        self._compiled = torch.compile(self.model, dynamic=False)


class Capture(Protocol):
    """A way to record the work of a body, for the device's generator and stream."""

    def record(self, body: Body) -> tuple[Callable[[], None], tuple[Tensor, Tensor]]:
        """Return a function that repeats `body`, and the outputs that it writes to."""

    def warm_up(self, body: Body) -> None:
        """Run `body` as often as libraries need to initialise."""

    def get_rng_state(self) -> Tensor:
        """Return the state of the device's generator."""

    def set_rng_state(self, state: Tensor) -> None:
        """Restore the state of the device's generator."""


class CudaCapture:
    """Recording as a CUDA graph, by the rules of torch's documentation ("CUDA semantics")."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def warm_up(self, body: Body) -> None:
        """Run `body` on a side stream: libraries initialise, cuDNN times its algorithms."""
        side, current = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(GRAPH_WARMUP_PASSES):
                body()
        current.wait_stream(side)

    def record(self, body: Body) -> tuple[Callable[[], None], tuple[Tensor, Tensor]]:
        """Return the replay of a new graph of `body`, and the outputs that it writes to."""
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        try:
            # thread_local: threads that prepare batches may allocate meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                outputs = body()
        except RuntimeError as error:
            # Up to torch 2.11 a capture that cannot end leaves its own stream behind.
            torch.cuda.set_stream(before)
            # A capture that ran out of memory cannot end, and that error comes on top.
            if isinstance(error.__context__, torch.OutOfMemoryError):
                raise error.__context__ from None
            raise
        return graph.replay, outputs

    def get_rng_state(self) -> Tensor:
        """Return the state of the device's generator."""
        return torch.cuda.get_rng_state(self._device)

    def set_rng_state(self, state: Tensor) -> None:
        """Restore the state of the device's generator."""
        torch.cuda.set_rng_state(state, self._device)


class GraphedPass(EagerPass):
    """A pass recorded once, for the shape that comes first, and then replayed.

    A replay repeats the recorded kernels on the recorded addresses: images, labels and share
    are copied there, gradients are added to the same tensors in every step. It draws dropout
    from the seed and offset that the device's generator has by then, as an eager pass does.
    What Python decides in `forward` is decided once.
    """

    keeps_gradients = True

    def __init__(self, *parts: Any, capture: Capture | None = None) -> None:
        super().__init__(*parts)
        self._capture: Capture = capture or CudaCapture(self.device)
        self._replay: Callable[[], None] | None = None

    def __call__(self, images: Tensor, labels: Tensor, share: Tensor | float) -> StepOutput:
        """Replay the pass; the first call records it."""
        if self._replay is None:
            self._record(images, labels)
        if images.shape != self._images.shape:
            return super().__call__(images, labels, share)
        self._images.copy_(images)
        self._labels.copy_(labels)
        if isinstance(share, Tensor):
            self._share.copy_(share)
        else:
            self._share.fill_(share)
        assert self._replay is not None
        self._replay()
        # The next replay writes to the same outputs.
        loss, logits = self._outputs
        return StepOutput(loss.clone(), logits.clone(), labels)

    def _record(self, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = images.clone(), labels.clone()
        self._share = torch.ones((), device=self.device)
        # The passes below must leave no trace: neither statistics of BatchNorm, nor draws.
        buffers, state = BufferSnapshot(self.model), self._capture.get_rng_state()
        buffers.take()
        before = self._gradients()
        self._capture.warm_up(self._body)
        # A parameter without a gradient by now has no part in the loss: it stays without one,
        # because an optimizer decays a weight whose gradient is 0.
        kept = [
            parameter for parameter in self.model.parameters() if parameter.grad is not None
        ]
        self._replay, self._outputs = self._capture.record(self._body)
        buffers.restore()
        self._capture.set_rng_state(state)
        for parameter in kept:
            gradient = before.get(parameter)
            assert parameter.grad is not None
            if gradient is None:
                parameter.grad.zero_()
            else:
                parameter.grad.copy_(gradient)

    def _body(self) -> tuple[Tensor, Tensor]:
        return self._run(self.model, self._images, self._labels, self._share)

    def _gradients(self) -> dict[nn.Parameter, Tensor]:
        """Return copies of the gradients so far: earlier micro-batches of this step have some."""
        gradients = {}
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                gradients[parameter] = parameter.grad.clone()
        return gradients

    def forget_shape(self) -> None:
        """Free the graph and the activations in its memory."""
        self._replay = self._outputs = self._images = None  # type: ignore[assignment]


PASSES: dict[Execution, type[EagerPass]] = {
    "eager": EagerPass,
    "compiled": CompiledPass,
    "cuda_graph": GraphedPass,
}


def build_pass(execution: Execution, *parts: Any) -> EagerPass:
    """Return the pass called `execution`; `parts` are the arguments of EagerPass.

    DeviceError for a CUDA graph without a CUDA device.
    """
    device = parts[-1]
    if execution == "cuda_graph" and device.type != "cuda":
        raise DeviceError(
            f"{EXECUTION_KEY}: cuda_graph needs an NVIDIA GPU, and this job runs on "
            f"{device.type}; use eager"
        )
    return PASSES[execution](*parts)
