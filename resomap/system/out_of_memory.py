"""How lack of memory is recognised, whichever library reports it, and what then is freed."""

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

# torch raises OutOfMemoryError only for its own allocator on a GPU. The CPU allocator, the CUDA
# runtime and the libraries on top of it raise plain RuntimeErrors, known by their text alone.
OUT_OF_MEMORY_TEXTS = (
    "can't allocate memory",  # torch's CPU allocator
    "DefaultCPUAllocator: not enough memory",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUDA_ERROR_OUT_OF_MEMORY",
    "cudaErrorMemoryAllocation",
    "hipErrorOutOfMemory",
    # cuDNN: also the longer names of version 9, ..._HOST_ and ..._DEVICE_ALLOCATION_FAILED.
    "CUDNN_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUSPARSE_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "std::bad_alloc",
)
# cuDNN found no algorithm whose workspace fits ("GET was unable to find an engine to execute
# this computation", or FIND). It is also the message for a convolution that no algorithm
# supports.
NO_ENGINE_TEXT = "unable to find an engine"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` of torch, of a library under it or of Python is lack of memory."""
    # Without torch there is no error of it, and the driver never loads it.
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return any(text in str(error) for text in (*OUT_OF_MEMORY_TEXTS, NO_ENGINE_TEXT))


def attempt(work: Callable[[], Result]) -> tuple[Result] | str:
    """Return the result of `work`, or the message of the error that memory ran out."""
    # A function of its own: while the exception is handled, its traceback keeps every tensor of
    # the failed call alive. They are free only after this function has returned.
    try:
        return (work(),)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return str(error)


def result_or_none(work: Callable[[], Result]) -> Result | None:
    """Return the result of `work`; None if memory ran out."""
    outcome = attempt(work)
    return None if isinstance(outcome, str) else outcome[0]


def free_memory() -> None:
    """Return what failed or dropped work has held to the device."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        # Cached blocks have the sizes of that work.
        torch.cuda.empty_cache()
