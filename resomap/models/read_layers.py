"""The layers of a run that Grad-CAM reads, and how their outputs hold maps."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from torch import nn

from resomap.config.architecture import Architecture
from resomap.models.inspect import find_layer, token_layouts
from resomap.models.maps import MapLayout
from resomap.models.registry import is_bound_to_size, padded_side
from resomap.models.shapes import build_shapes


class ReadLayers(NamedTuple):
    """The names of two layers, blank where no method reads a layer.

    `rule_layer` is chosen for the resolution of the run, `fixed_layer` is the same at every
    resolution. `views` has the layout of each that holds tokens. `image_share` is the side of
    an image over that of the padded one.
    """

    rule_layer: str = ""
    fixed_layer: str = ""
    views: Mapping[str, MapLayout] = MappingProxyType({})
    image_share: float = 1.0


def find_read_layers(
    model: nn.Module,
    architecture: Architecture,
    resolution: int,
    smallest_resolution: int,
    layer: str | None,
) -> ReadLayers:
    """Return the layers that `layer` means, the `explainability.layer` of a sweep.

    None is for methods that read none, as the network may have none.
    """
    if layer is None:
        return ReadLayers()
    rule = find_layer(model, resolution, layer)[0]
    # Chosen at the smallest resolution of the sweep, so that every run reads the same block.
    smallest = model
    if is_bound_to_size(architecture):
        smallest = build_shapes(architecture, smallest_resolution)
    fixed = find_layer(smallest, smallest_resolution, layer)[0]
    share = resolution / padded_side(architecture, resolution)
    return ReadLayers(rule, fixed, token_layouts(model, resolution, (rule, fixed)), share)
