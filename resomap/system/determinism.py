"""How kernels are chosen on a GPU: the fastest ones, or deterministic ones only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resomap.errors import DeviceError

if TYPE_CHECKING:
    import torch

NO_KERNEL_TEXT = " does not have a deterministic implementation"
# cuBLAS reads it when it starts: buffers of a fixed number and size, from NVIDIA's documentation
# of results that are reproducible.
CUBLAS_VARIABLE, CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def choose_kernels(device: "torch.device", *, benchmark: bool, deterministic: bool) -> None:
    """Let cuDNN pick its algorithms by timing (`benchmark`), or use `deterministic` kernels only.

    A CPU needs neither: its kernels are deterministic for a number of threads.
    """
    import torch

    only_deterministic = deterministic and device.type == "cuda"
    torch.backends.cudnn.benchmark = benchmark and not only_deterministic
    torch.backends.cudnn.deterministic = only_deterministic
    torch.use_deterministic_algorithms(only_deterministic)
    if not only_deterministic:
        return
    os.environ.setdefault(CUBLAS_VARIABLE, CUBLAS_WORKSPACE)
    # On by default, to make code visible that reads memory which nothing has written. It costs
    # a kernel per allocation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextmanager
def explaining_missing_kernels() -> Iterator[None]:
    """Raise DeviceError with the key where torch has no deterministic kernel for an operator."""
    try:
        yield
    except RuntimeError as error:
        operator, found, _ = str(error).partition(NO_KERNEL_TEXT)
        if not found:
            raise
        raise DeviceError(
            "config/system.yaml: system.training.deterministic: true, but "
            f"{operator.split()[-1]} has no deterministic kernel; set it to false"
        ) from error
