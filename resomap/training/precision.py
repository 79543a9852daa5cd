"""Autocast and gradient scaling for fp32, bf16 and fp16."""

from contextlib import AbstractContextManager, nullcontext

import torch

from resomap.config.training import Precision

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def use_float32() -> None:
    """Make fp32 mean float32 on a GPU too.

    cuDNN rounds the inputs of convolutions to TF32 (10 bits of mantissa) by default, matrix
    products are exact already. Convolutions lose the speed of the tensor cores; bf16 is the way
    to get it.
    """
    torch.backends.cudnn.allow_tf32 = False


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """Return the context in which a network computes at `precision`; no context for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, AUTOCAST_DTYPES[precision])


def build_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """Return the gradient scaler of `precision`; a disabled one passes everything through.

    Only fp16 needs it: its smallest normal number is 6e-5, so small gradients become zero. bf16
    has the exponent of float32.
    """
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
