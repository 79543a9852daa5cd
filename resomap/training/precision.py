"""Arithmetic that keeps its name."""

from contextlib import AbstractContextManager, nullcontext

import torch

from resomap.config.training import Precision

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def use_float32() -> None:
    """Make fp32 mean float32 on a GPU too: cuDNN's convolutions would otherwise round their inputs to TF32."""
    torch.backends.cudnn.allow_tf32 = False


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """The context in which a network computes at `precision`; nothing at all for fp32."""
    return (
        nullcontext() if precision == "fp32" else torch.autocast(device.type, DTYPES[precision])
    )


def build_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler:
    """The gradient scaler that fp16 needs against underflow; it passes everything through otherwise."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")
