"""The command `resomap devices`: the GPUs of this machine and who uses them."""

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from resomap.system.gpu_listing import Gpu


def devices() -> None:
    """List the GPUs of this machine and the jobs that lease them.

    Example: resomap devices
    """
    from resomap.system.gpu_listing import list_gpus

    gpus = list_gpus()
    for gpu in gpus:
        typer.echo("\n".join(_describe_gpu(gpu)))
    if not gpus:
        typer.echo("no NVIDIA GPU found")


def _describe_gpu(gpu: "Gpu") -> list[str]:
    from resomap.system.gpus import lease_holders

    head = f"{gpu.number}  {gpu.name}, {gpu.memory_mib} MiB, {gpu.uuid}"
    leases = []
    for owner in lease_holders(gpu.uuid):
        purpose, pid, since = (owner.get(name) for name in ("purpose", "pid", "since"))
        leases.append(f"   {purpose}: process {pid} since {since}")
    return [head, *(leases or ["   free"])]
