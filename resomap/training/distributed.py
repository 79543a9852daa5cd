"""Several processes that train one network, with torchrun and DistributedDataParallel."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from resomap.system.gpus import lease_until_exit

# The others wait in a collective while the leader validates, which may take hours. A process
# that dies does not use up this time: torchrun notices it and ends the rest.
COLLECTIVE_TIMEOUT = timedelta(days=1)


@dataclass(frozen=True)
class Group:
    """The place of this process among those that train one network."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_leader(self) -> bool:
        """Return whether this process validates, saves and writes the results."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of `tensor` over all processes, computed in place."""
        if self.world_size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def total(self, count: int, device: torch.device) -> int:
        """Return the sum of `count` over all processes; with several, the CPU waits."""
        if self.world_size == 1:
            return count
        return int(self.sum(torch.full((), count, device=device)))

    def min(self, tensor: Tensor) -> Tensor:
        """Return the element-wise minimum of `tensor` over all processes, computed in place."""
        if self.world_size > 1:
            torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MIN)
        return tensor

    def broadcast(self, value: Any) -> Any:
        """Return the leader's `value` (a plain Python object) in every process."""
        if self.world_size == 1:
            return value
        values = [value]
        torch.distributed.broadcast_object_list(values)
        return values[0]

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return `model` with gradients averaged over the processes, if there are several."""
        if self.world_size == 1:
            return model
        if device.type == "cpu":
            return nn.parallel.DistributedDataParallel(model)
        # Statistics of the whole batch, as one process would compute them. SyncBatchNorm has no
        # CPU implementation, so there each process normalises its own part of the batch.
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(model, device_ids=[device])


def relaunch_with_torchrun(processes: int, device: str) -> None:
    """Replace this process by torchrun with `processes` copies of its own command.

    Return without effect for one process and inside a process that torchrun started. The GPUs
    are leased first, all at once.
    """
    if processes <= 1 or "TORCHELASTIC_RUN_ID" in os.environ:
        return
    lease_until_exit(device, processes)
    spec = sys.modules["__main__"].__spec__
    program = ["-m", spec.name] if spec else [sys.argv[0]]
    # --standalone picks a free port, so that several trainings can run on one machine.
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    # Our own arguments, without a shell.
    os.execv(sys.executable, [sys.executable, *torchrun, *program, *sys.argv[1:]])  # noqa: S606


@contextmanager
def join_group(device: torch.device) -> Iterator[tuple[Group, torch.device]]:
    """Yield the group of this process and its device; without torchrun a group of one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Group(), device
        return
    backend = "gloo"
    if device.type == "cuda":
        backend = "nccl"
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    torch.distributed.init_process_group(backend, timeout=COLLECTIVE_TIMEOUT)
    try:
        yield Group(torch.distributed.get_rank(), torch.distributed.get_world_size()), device
    finally:
        torch.distributed.destroy_process_group()


def unwrap(model: nn.Module) -> nn.Module:
    """Return the network itself, without the wrapper of `Group.wrap`."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return model.module
    return model
