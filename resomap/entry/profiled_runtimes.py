"""Assemble what a profile measures in runtimes: exported networks as timed workloads."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from torch import Tensor, nn

from resomap.config.deploy import DeployPrecision, RuntimeName, check_deploy_packages
from resomap.config.schema import Profiling
from resomap.deploy.packages import package_versions
from resomap.deploy.runtimes.calls import describe_runtime
from resomap.deploy.runtimes.networks import UNSUPPORTED, RuntimeNetworks
from resomap.profiling.memory import Growth
from resomap.profiling.variants import (
    UnsupportedError,
    Variant,
    Workload,
    WorkloadBuilder,
    runtimes_of,
)


@contextmanager
def open_runtimes(profiling: Profiling, name: str) -> Iterator[WorkloadBuilder]:
    """Yield the builder of workloads of model `name` in runtimes; its files last as long."""
    check_deploy_packages(None, profiling.variants)
    with TemporaryDirectory() as folder:
        networks = RuntimeNetworks(Path(folder), name, profiling.cpu_threads)
        yield partial(_build_workload, networks)


def _build_workload(
    networks: RuntimeNetworks, model: nn.Module, variant: Variant, images: Tensor
) -> Workload:
    """Return a workload on `images` of the CPU; UnsupportedError with the reason where none is."""
    runtime = cast("RuntimeName", variant.mode)
    precision = cast("DeployPrecision", variant.precision)
    try:
        network = networks.open(model, runtime, precision, images.numpy())
    except UNSUPPORTED as error:
        raise UnsupportedError(str(error)) from error
    growth = Growth(min(network.peaks), None, max(network.peaks))
    return Workload(network.run, lambda: 0, growth=growth, file_bytes=network.file_bytes)


def describe_runtimes(profiling: Profiling) -> dict[str, Any]:
    """Return `runtimes` for the record of a profile: versions and settings; nothing without one."""
    runtimes = runtimes_of(profiling.variants)
    if not runtimes:
        return {}
    settings = {name: describe_runtime(name, profiling.cpu_threads) for name in runtimes}
    return {"runtimes": {"export": package_versions(), **settings}}
