"""A network layer by layer, by torchinfo."""

from typing import Any

from torch import nn
from torchinfo import ModelStatistics, summary

from resomap.profiling.flops import count_macs
from resomap.profiling.twin import shape_twin

COLUMNS = ("input_size", "output_size", "num_params", "kernel_size", "mult_adds")


def summarise(model: nn.Module, resolution: int) -> tuple[str, dict[str, Any]]:
    """A network's table for reading and the same as a record: size of the whole and a line a layer, for one picture of `resolution` px.

    torchinfo's own count of operations leaves out attention and functions that are no modules; `macs` is ours.
    """
    told = summary(
        shape_twin(model),
        input_size=(1, 3, resolution, resolution),
        device="meta",
        depth=6,
        verbose=0,
        col_names=COLUMNS,
    )
    record = {
        "resolution": resolution,
        "macs": count_macs(model, resolution),
        "num_parameters": told.total_params,
        "trainable_parameters": told.trainable_params,
        "parameter_bytes": told.total_param_bytes,
        "output_bytes": told.total_output_bytes,
        "layers": _layers(told),
    }
    return f"{told}\n", record


def _layers(told: ModelStatistics) -> list[dict[str, Any]]:
    return [
        {
            "name": layer.var_name,
            "kind": layer.class_name,
            "depth": layer.depth,
            "output_size": list(layer.output_size),
            "num_parameters": layer.num_params,
            "macs": layer.macs,
        }
        for layer in told.summary_list
    ]
