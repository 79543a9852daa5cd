"""A count of multiply-accumulates at torch's Python functions, by formulas of its own.

The package counts operators of the dispatcher with PyTorch's counter, which sees neither these
functions nor these formulas.
"""

from math import prod

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv3d}
PRODUCTS = {torch.matmul, torch.bmm, torch.mm, Tensor.matmul, Tensor.__matmul__}

NORMALISATIONS = {functional.batch_norm: 2, functional.layer_norm: 5, functional.group_norm: 5}
"""Operations per value, as fvcore counts them."""


class OperatorCounter(TorchFunctionMode):
    """Adds up the multiply-accumulates of the functions that are called inside of it.

    `normalisations` is what fvcore adds for layers that normalise, in inference: timm's
    published numbers contain it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0
        self.normalisations = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        if func in CONVOLUTIONS:
            weight = args[1]
            self.macs += output.numel() * prod(weight.shape[1:])
        elif func is functional.linear:
            weight = kwargs["weight"] if "weight" in kwargs else args[1]
            self.macs += args[0].numel() * weight.shape[0]
        elif func is torch.einsum:
            self.macs += _sum_of_products(*args)
        elif func in PRODUCTS:
            self.macs += output.numel() * args[0].shape[-1]
        elif func is functional.scaled_dot_product_attention:
            query, key, value = (
                *args,
                *(kwargs[each] for each in ("key", "value") if each in kwargs),
            )[:3]
            pairs = query.shape[:-1].numel() * key.shape[-2]
            self.macs += pairs * (query.shape[-1] + value.shape[-1])
        elif func is functional.multi_head_attention_forward:
            self.macs += _attention(args[0], args[3])
        elif func in NORMALISATIONS:
            self.normalisations += NORMALISATIONS[func] * output.numel()
        return output


def _sum_of_products(equation: str, *operands: Tensor) -> int:
    """Return one product for every combination of values of the indices."""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    sizes = {}
    for term, operand in zip(terms, operands, strict=True):
        sizes |= dict(zip(term, operand.shape, strict=True))
    return prod(sizes.values())


def _attention(query: Tensor, width: int) -> int:
    """Return the count of self-attention with four projections of `width` channels."""
    length, batch, _ = query.shape
    return batch * (4 * length * width**2 + 2 * length**2 * width)
