"""How many multiply-accumulates one picture takes."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resomap.profiling.twin import shape_twin


def count_macs(model: nn.Module, resolution: int) -> int:
    """Multiply-accumulates of one picture of `resolution` px: convolutions, matrix products and attention; FLOPs are twice that.

    Counted on the meta device: it equals the published tables, where counting on a CPU misses attention.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shape_twin(model)(torch.empty(1, 3, resolution, resolution, device="meta"))
    return counter.get_total_flops() // 2
