"""Several processes that train one network: started by torchrun, joined by DistributedDataParallel."""

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

PATIENCE = timedelta(days=1)
"""How long a process waits for the others, which may be validating; one that died ends all at once through torchrun."""


@dataclass(frozen=True)
class Group:
    """This process among those of one training."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the results."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of every process's `tensor`, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def least(self, tensor: Tensor) -> Tensor:
        """The least of every process's `tensor`, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(tensor, torch.distributed.ReduceOp.MIN)
        return tensor

    def share(self, value: Any) -> Any:
        """The leader's `value` (plain), in every process."""
        if self.world == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box)
        return box[0]

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """`model` with gradients averaged over the processes; on a GPU its BatchNorm sees the whole batch."""
        if self.world == 1:
            return model
        if device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[device] if device.type == "cuda" else None
        )


def relaunch(processes: int, device: str) -> None:
    """Become torchrun with `processes` of this very command, unless one is wanted or this is already one of them.

    Their GPUs are leased first, all at once. torchrun chooses a free port by itself (`--standalone`), and ends all when one fails.
    """
    if processes > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        lease_until_exit(device, processes)
        module = (
            ["-m", spec.name] if (spec := sys.modules["__main__"].__spec__) else [sys.argv[0]]
        )
        torchrun = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={processes}",
        ]
        os.execv(sys.executable, [sys.executable, *torchrun, *module, *sys.argv[1:]])


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Group, torch.device]]:
    """This process's place in the group that torchrun started, and its own device; alone without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Group(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    torch.distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE
    )
    try:
        yield Group(torch.distributed.get_rank(), torch.distributed.get_world_size()), device
    finally:
        torch.distributed.destroy_process_group()


def bare(model: nn.Module) -> nn.Module:
    """The network itself, without the wrapper of a group."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
