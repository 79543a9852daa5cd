"""What a network is at each resolution, for `resomap models NAME`."""

import math
from collections.abc import Iterator, Sequence

from torch import nn

from resomap.config.architecture import Architecture
from resomap.errors import ConfigError
from resomap.models.blocks import find_blocks
from resomap.models.flow import trace_shapes
from resomap.models.inspect import choose_layer
from resomap.models.published import describe_numbers, published_weights
from resomap.models.receptive_field import receptive_field
from resomap.models.registry import SizeError, build_on_meta
from resomap.models.shapes import (
    ShapesBySide,
    check_logits,
    find_min_resolution,
    first_single_cell,
)
from resomap.profiling.summary import count_macs
from resomap.text import align_columns, wrap_lines

CLASSES = 1000  # as in published tables; parameters and MACs count them
MOST_WEIGHTS = 5
WIDTH = 96
WEIGHTS_HEAD = ("published weights", "resolution", "filter", "mean", "std")
HEAD = ("resolution", "parameters", "MACs (millions)", "Grad-CAM layer", "grid", "sees")

Notes = dict[str, list[int]]
"""Lines worth knowing, with the resolutions that each is about."""


def card_lines(architecture: Architecture, resolutions: Sequence[int]) -> Iterator[str]:
    """Yield what a network is, its published weights, and a row for each resolution.

    ConfigError where it is no classifier.
    """
    shapes = ShapesBySide(architecture)
    yield f"{architecture.name} ({architecture.builder}), family {architecture.family}"
    smallest = find_min_resolution(shapes)
    yield f"smallest resolution: {'none found' if smallest is None else f'{smallest} px'}"
    yield ""
    yield from _weights_lines(architecture)
    rows, notes = list[tuple[str, ...]]([HEAD]), Notes()
    for resolution in sorted(set(resolutions)):
        try:
            rows.append(_row(shapes, resolution, notes))
        except SizeError as error:
            notes.setdefault(str(error), []).append(resolution)
        except ConfigError:
            raise
        # A network refuses a size by an error of any type.
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            notes.setdefault(f"it cannot take them: {reason}", []).append(resolution)
    yield ""
    if len(rows) > 1:
        yield from align_columns(rows)
        yield f"Parameters and MACs of {CLASSES} classes; `sees`: the receptive field of a cell."
    lines = [f"{', '.join(map(str, sides))} px: {note}" for note, sides in notes.items()]
    yield from wrap_lines(lines, WIDTH, indent=2)


def _weights_lines(architecture: Architecture) -> Iterator[str]:
    weights = published_weights(architecture)
    if not weights:
        yield "published weights: none"
        return
    rows = [WEIGHTS_HEAD]
    for each in weights[:MOST_WEIGHTS]:
        expected, mean, std = each.input, "-", "-"
        if expected.normalisation is not None:
            mean = describe_numbers(expected.normalisation.mean)
            std = describe_numbers(expected.normalisation.std)
        side = f"{expected.resolution or '-'} px"
        rows.append((each.tag, side, expected.interpolation or "-", mean, std))
    yield from align_columns(rows)
    if len(weights) > MOST_WEIGHTS:
        yield f"and {len(weights) - MOST_WEIGHTS} more"


def _row(shapes: ShapesBySide, resolution: int, notes: Notes) -> tuple[str, ...]:
    network = shapes.at(resolution)
    calls = trace_shapes(network, resolution)
    check_logits(shapes.architecture, calls[-1].output, batch_size=1)
    blocks = find_blocks(network, resolution)
    full = build_on_meta(shapes.architecture, CLASSES, resolution)
    block = first_single_cell(blocks, calls)
    if block is not None:
        notes.setdefault(f"the map is 1 x 1 from {block} on", []).append(resolution)
    try:
        layer, side = choose_layer(blocks, calls, "auto")
        grid, field = f"{side} x {side}", _describe_field(network, resolution, layer)
    except ConfigError as error:
        layer, grid, field = "none", "-", "-"
        notes.setdefault(str(error), []).append(resolution)
    parameters = sum(parameter.numel() for parameter in full.parameters())
    macs = count_macs(full, resolution) / 1e6
    return (f"{resolution} px", f"{parameters:,}", f"{macs:,.1f}", layer, grid, field)


def _describe_field(network: nn.Module, resolution: int, layer: str) -> str:
    size = receptive_field(network, resolution, layer)
    return "whole image" if math.isinf(size) else f"{size:.0f} px"
