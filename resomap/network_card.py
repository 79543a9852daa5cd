"""What a network is at each resolution, for `resomap models NAME`."""

import math
from collections.abc import Iterator, Sequence

from torch import nn

from resomap.config.architecture import Architecture
from resomap.errors import ConfigError
from resomap.models.blocks import find_blocks
from resomap.models.flow import trace_shapes
from resomap.models.inspect import choose_layer
from resomap.models.published import published_weights
from resomap.models.receptive_field import receptive_field
from resomap.models.registry import SizeError, build_on_meta
from resomap.models.shapes import ShapesBySide, find_min_resolution, first_single_cell
from resomap.profiling.summary import count_macs
from resomap.text import align_columns

CLASSES = 1000  # as in published tables; parameters and MACs count them
MOST_WEIGHTS = 5
HEAD = ("resolution", "parameters", "MACs (millions)", "layer", "grid", "receptive field")


def card_lines(architecture: Architecture, resolutions: Sequence[int]) -> Iterator[str]:
    """Yield what a network is, its published weights, and a row for each resolution."""
    shapes = ShapesBySide(architecture)
    yield f"{architecture.name} ({architecture.builder}), family {architecture.family}"
    smallest = find_min_resolution(shapes)
    yield f"smallest resolution: {'none found' if smallest is None else f'{smallest} px'}"
    yield from _weights_lines(architecture)
    rows, notes = list[tuple[str, ...]]([HEAD]), list[str]()
    for resolution in sorted(set(resolutions)):
        try:
            rows.append(_row(shapes, resolution, notes))
        # A network refuses a size by an error of any type.
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            own = isinstance(error, SizeError)
            notes.append(reason if own else f"{resolution} px: it cannot take them: {reason}")
    yield from (line.rstrip() for line in align_columns(rows))
    yield from notes


def _weights_lines(architecture: Architecture) -> Iterator[str]:
    weights = published_weights(architecture)
    if not weights:
        yield "weights: none are published"
    for each in weights[:MOST_WEIGHTS]:
        yield f"weights: {each.tag}: {each.input.describe()}"
    if len(weights) > MOST_WEIGHTS:
        yield f"weights: and {len(weights) - MOST_WEIGHTS} more"


def _row(shapes: ShapesBySide, resolution: int, notes: list[str]) -> tuple[str, ...]:
    network = shapes.at(resolution)
    blocks, calls = find_blocks(network, resolution), trace_shapes(network, resolution)
    full = build_on_meta(shapes.architecture, CLASSES, resolution)
    block = first_single_cell(blocks, calls)
    if block is not None:
        notes.append(f"{resolution} px: the map is 1 x 1 from {block} on")
    try:
        layer, side = choose_layer(blocks, calls, "auto")
        grid, field = f"{side} x {side}", _describe_field(network, resolution, layer)
    except ConfigError as error:
        layer, grid, field = "none", "-", "-"
        notes.append(f"{resolution} px: {error}")
    parameters = sum(parameter.numel() for parameter in full.parameters())
    macs = count_macs(full, resolution) / 1e6
    return (f"{resolution} px", f"{parameters:,}", f"{macs:,.1f}", layer, grid, field)


def _describe_field(network: nn.Module, resolution: int, layer: str) -> str:
    size = receptive_field(network, resolution, layer)
    return "whole image" if math.isinf(size) else f"{size:.0f} px"
