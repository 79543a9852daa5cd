"""Modes that fail where the CPU would wait for a device; the meta device stands in for it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
UNKNOWN_SHAPE, UNKNOWN_VALUE = torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output
CHECKS_A_VALUE = ("_linalg_check_errors",)
CONSTANTS = (torch.tensor, torch.as_tensor, torch.from_numpy, Tensor.new_tensor)


class Wait(AssertionError):
    """The CPU would wait for the device."""


def tensors_in(values: Any) -> list[Tensor]:
    """Return the tensors among nested values."""
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


class NoWaitingOperators(TorchDispatchMode):
    """Fails on reads of values, shapes that depend on values, and copies that block."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Check the operator, and run it."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if any(tensor.device == META for tensor in tensors_in((args, kwargs))):
            self._check(func, args)
        if name in ("_to_copy", "copy_", "_foreach_copy_"):
            self._check_copy(func, args, kwargs)
        if name == "_fused_sgd_":  # has no implementation for the meta device
            return None
        return func(*args, **kwargs)

    def _check(self, func: Any, args: Sequence[Any]) -> None:
        name = func.overloadpacket.__name__
        if UNKNOWN_VALUE in func.tags or name in CHECKS_A_VALUE:
            raise Wait(f"{func} reads a value")
        # Advanced indexing has such a shape only by a mask.
        is_index = name in ("index", "index_put", "index_put_", "_index_put_impl_")
        if is_index:
            if any(index.dtype == torch.bool for index in tensors_in(args[1])):
                raise Wait(f"{func} by a mask")
        elif UNKNOWN_SHAPE in func.tags:
            raise Wait(f"{func} has a shape that depends on values")

    def _check_copy(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        devices = {tensor.device for tensor in tensors_in(args)}
        target = kwargs.get("device")
        devices |= set() if target is None else {target}
        # The third argument of copy_ is non_blocking as well.
        goes_on = kwargs.get("non_blocking") or args[2:] == (True,)
        if len(devices) > 1 and not (goes_on and target != torch.device("cpu")):
            raise Wait(f"{func} between {sorted(map(str, devices))} blocks")


class NoConstants(TorchFunctionMode):
    """Fails on tensors made on the device from values of the host."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function, and check a constant."""
        result = func(*args, **(kwargs or {}))
        if func in CONSTANTS and result.device == META:
            raise Wait(f"{func} copies a constant of the host")
        return result


@contextmanager
def no_waits() -> Iterator[None]:
    """Raise Wait where the CPU would wait for a device inside the block."""
    with NoConstants(), NoWaitingOperators():
        yield
