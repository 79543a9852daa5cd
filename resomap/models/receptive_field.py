"""The receptive field of a layer: the side of the square of pixels that one of its cells sees."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten: Any = torch.ops.aten
POOLINGS = (aten.max_pool2d_with_indices, aten.max_pool2d, aten.avg_pool2d)
PRODUCTS = (aten.bmm, aten.baddbmm, aten._scaled_dot_product_flash_attention_for_cpu)
MATRICES = (aten.mm, aten.addmm)
GLOBAL_POOLINGS = (aten._adaptive_avg_pool2d, aten.adaptive_max_pool2d)


class ReceptiveField(NamedTuple):
    """The pixels that a cell sees along one axis, and those between two neighbouring cells."""

    size: float
    jump: float = 1.0

    def through(self, kernel: int, stride: int, dilation: int = 1) -> "ReceptiveField":
        """Return the field after a window of `kernel` cells (Araujo et al. 2019)."""
        grown = self.size + (kernel - 1) * dilation * self.jump
        return ReceptiveField(grown, self.jump * stride)


def receptive_field(shapes: nn.Module, resolution: int, layer: str) -> float:
    """Return the receptive field of the output of `layer` in pixels; infinity for all of them.

    Windows of convolutions and poolings count. Attention between cells, weights over the cells,
    and a pooling over the whole map as in squeeze-and-excitation, let a cell see every pixel. `shapes` is on the meta
    device.
    """
    images = torch.empty(1, 3, resolution, resolution, device="meta")
    tracker, found = _FieldTracker(images), list[ReceptiveField]()

    def record(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(tracker.field_of([output]) or ReceptiveField(math.inf))

    handle = shapes.get_submodule(layer).register_forward_hook(record)
    try:
        with torch.no_grad(), tracker:
            shapes.eval()(images)
    finally:
        handle.remove()
    return found[-1].size


class _FieldTracker(TorchDispatchMode):
    """Passes the fields of tensors on through every operator."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._fields = {id(images): ReceptiveField(1.0)}
        # An id is that of one tensor only while it exists.
        self._kept = [images]
        self._cells, self._channels = 0, 0  # of the last convolution

    def field_of(self, values: Any) -> ReceptiveField | None:
        """Return the largest field among the tensors in `values`; None where none has one."""
        leaves = tree_leaves(values)
        fields = [self._fields[id(leaf)] for leaf in leaves if id(leaf) in self._fields]
        return max(fields, default=None)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        field = self.field_of((args, kwargs))
        if field is not None:
            field = self._next(func.overloadpacket, args, field)
            if func.overloadpacket == aten.convolution:
                self._cells, self._channels = output.shape[2:].numel(), output.shape[1]
            for leaf in tree_leaves(output):
                if isinstance(leaf, Tensor):
                    self._fields[id(leaf)] = field
                    self._kept.append(leaf)
        return output

    def _next(self, operator: Any, args: Any, field: ReceptiveField) -> ReceptiveField:
        if operator == aten.convolution:
            _, weight, _, stride, _, dilation, transposed, *_ = args
            kernel = max(weight.shape[2:])
            if transposed:
                return ReceptiveField(field.size, field.jump / stride[0])
            return field.through(kernel, stride[0], dilation[0])
        if operator in POOLINGS:
            kernel = _first(args[1])
            stride = _first(args[2]) if len(args) > 2 and args[2] else kernel
            return field.through(kernel, stride)
        mixes_cells = self._mixes_cells(operator, args)
        if mixes_cells or operator in GLOBAL_POOLINGS or _is_spatial_mean(operator, args):
            return ReceptiveField(math.inf)
        return field

    def _mixes_cells(self, operator: Any, args: Any) -> bool:
        if operator in PRODUCTS:
            return all(id(each) in self._fields for each in args[:2])
        # Weights over the cells of a channel, as in an MLP-Mixer.
        return operator in MATRICES and args[-1].shape[0] == self._cells != self._channels


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, list | tuple) else value)


def _is_spatial_mean(operator: Any, args: Any) -> bool:
    if operator != aten.mean or len(args) < 2 or args[1] is None:
        return False
    axes = {axis % args[0].ndim for axis in args[1]}
    # Over two axes of a map, or over the tokens: a mean over channels mixes no cells.
    return len(axes) > 1 or (args[0].ndim == 3 and axes == {1})
