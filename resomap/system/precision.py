"""What a precision means on a device, under a name for what runs.

`fp32` is strict float32. `tf32` is float32 whose convolutions and matrix products round their
inputs to TF32 (10 bits of mantissa) on the tensor cores of an NVIDIA GPU. `bf16` and `fp16` are
autocast, whose remaining float32 operators are strict.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resomap.errors import DeviceError

if TYPE_CHECKING:
    import torch

AMPERE = (8, 0)  # the first compute capability with TF32
TF32_OVERRIDE = "NVIDIA_TF32_OVERRIDE"  # read by cuBLAS and cuDNN themselves


def use_float32() -> None:
    """Make float32 strict everywhere in this process, on a GPU too.

    torch lets cuDNN's convolutions round to TF32 by default, and matrix products where
    TORCH_ALLOW_TF32_CUBLAS_OVERRIDE is set.
    """
    allow_tf32(False)


def allow_tf32(allowed: bool) -> None:
    """Allow or forbid TF32 in convolutions and in matrix products alike."""
    import torch

    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


@contextmanager
def tf32_of(precision: str) -> Iterator[None]:
    """Allow TF32 inside the block if `precision` is tf32, else forbid it; restore it after."""
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    allow_tf32(precision == "tf32")
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


def why_no_tf32(device: "torch.device") -> str | None:
    """Return why `device` has no TF32; None if it has."""
    import torch

    if device.type == "meta":  # shapes without values
        return None
    if device.type != "cuda":
        return "TF32 exists on NVIDIA GPUs only"
    if torch.cuda.get_device_capability(device) < AMPERE:
        return f"{torch.cuda.get_device_name(device)} has no TF32: it came with Ampere (A100)"
    if os.environ.get(TF32_OVERRIDE) == "0":
        return f"{TF32_OVERRIDE}=0 in the environment turns TF32 off"
    return None


def check_precision(precision: str, device: "torch.device") -> None:
    """Raise DeviceError if trainings at `precision` would run as something else on `device`."""
    reason = why_no_tf32(device) if precision == "tf32" else None
    if reason:
        raise DeviceError(
            f"config/training.yaml: training.precision: tf32, but {reason}; use fp32 or bf16"
        )
