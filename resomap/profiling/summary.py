"""A model layer by layer (torchinfo), and its multiply-accumulates."""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resomap.profiling.memory import meta_copy

if TYPE_CHECKING:
    from torchinfo import ModelStatistics

LAYER_COLUMNS = ("input_size", "output_size", "num_params", "kernel_size", "mult_adds")


def count_macs(model: nn.Module, resolution: int) -> int:
    """Return the multiply-accumulates of one image of `resolution` px; FLOPs are twice that.

    Counts convolutions, matrix products and attention, and equals the published tables
    (tests/golden/test_macs.py). `model` is unchanged.
    """
    # Not on a CPU, where attention is one fused operator that the counter does not know.
    shapes = meta_copy(model).requires_grad_(False)  # the counter fails on views of parameters
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(torch.empty(1, 3, resolution, resolution, device="meta"))
    return counter.get_total_flops() // 2


def summarise(model: nn.Module, resolution: int) -> tuple[str, dict[str, Any]]:
    """Return a table of all layers for one image of `resolution` px, and its record."""
    from torchinfo import summary  # here, because counting and profiling work without it

    statistics = summary(
        meta_copy(model),
        input_size=(1, 3, resolution, resolution),
        device="meta",
        depth=6,
        verbose=0,
        col_names=LAYER_COLUMNS,
    )
    record = {
        "resolution": resolution,
        # torchinfo's total leaves out attention and functions that are no modules.
        "macs": count_macs(model, resolution),
        "num_parameters": statistics.total_params,
        "trainable_parameters": statistics.trainable_params,
        "parameter_bytes": statistics.total_param_bytes,
        "output_bytes": statistics.total_output_bytes,
        "layers": _layer_records(statistics),
    }
    return f"{statistics}\n", record


def _layer_records(statistics: "ModelStatistics") -> list[dict[str, Any]]:
    return [
        {
            "name": layer.var_name,
            "kind": layer.class_name,
            "depth": layer.depth,
            "output_size": list(layer.output_size),
            "num_parameters": layer.num_params,
            "macs": layer.macs,
        }
        for layer in statistics.summary_list
    ]
