"""Arithmetic that keeps its name."""

import torch


def use_float32() -> None:
    """Make fp32 mean float32 on a GPU too: cuDNN's convolutions would otherwise round their inputs to TF32."""
    torch.backends.cudnn.allow_tf32 = False
