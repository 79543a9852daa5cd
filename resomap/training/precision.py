"""Autocast, TF32 and gradient scaling for fp32, tf32, bf16 and fp16."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from resomap.config.training import Precision
from resomap.system.precision import tf32_of

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


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
