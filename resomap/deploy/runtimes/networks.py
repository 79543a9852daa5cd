"""The networks of a profile in the runtimes that it measures, exported when first needed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from resomap.config.deploy import DeployPrecision, RuntimeName
from resomap.deploy.export import ExportError, export_network
from resomap.deploy.quantise import QuantisationError, quantise_network
from resomap.deploy.runtimes.calls import LoadedNetwork, load_network
from resomap.deploy.runtimes.memory import RuntimeFailure, runtime_peaks
from resomap.errors import ResoMapError
from resomap.system.resident_memory import available_bytes

# Latency depends on neither the weights nor the ranges of the activations.
QUANTISATION_IMAGES = 4


@dataclass(frozen=True)
class RuntimeNetwork:
    """An exported network in a runtime: `run` processes its batch.

    `peaks` are the peak bytes of several passes in a process of its own, `file_bytes` the size
    of the exported file.
    """

    run: Callable[[], object]
    peaks: list[int]
    file_bytes: int


@dataclass
class RuntimeNetworks:
    """The exports of a model in `folder`, each made once, and loaded on `threads` threads.

    `name` is that of the model, for messages.
    """

    folder: Path
    name: str
    threads: int
    _files: dict[tuple[int, int, str], Path | ResoMapError] = field(default_factory=dict)
    _loaded: dict[tuple[RuntimeName, Path, int], LoadedNetwork] = field(default_factory=dict)

    def open(
        self,
        network: nn.Module,
        runtime: RuntimeName,
        precision: DeployPrecision,
        images: np.ndarray,
    ) -> RuntimeNetwork:
        """Return `network` in a runtime, with `images` (N, 3, r, r) as the batch that it processes.

        ExportError, QuantisationError or RuntimeFailure where that is impossible, MemoryError
        if it does not fit.
        """
        file = self.export(network, images.shape[-1], precision)
        peaks = runtime_peaks(runtime, file, images.shape, self.threads)
        # Not even in the process that measures everything else, which the kernel would kill.
        if max(peaks) > available_bytes():
            raise MemoryError(f"{self.name} takes {max(peaks)} bytes in {runtime}")
        run = self._load(runtime, file, images.shape)
        return RuntimeNetwork(partial(run, images), peaks, file.stat().st_size)

    def export(self, network: nn.Module, resolution: int, precision: DeployPrecision) -> Path:
        """Return the file of an export; ExportError or QuantisationError, also when asked again."""
        # Networks live as long as this: the caller holds them.
        key = id(network), resolution, precision
        if key not in self._files:
            try:
                self._files[key] = self._write(network, resolution, precision)
            except (ExportError, QuantisationError) as error:
                self._files[key] = error
        made = self._files[key]
        if isinstance(made, ResoMapError):
            raise made
        return made

    def _write(self, network: nn.Module, resolution: int, precision: DeployPrecision) -> Path:
        if precision == "fp32":
            content = export_network(network, resolution, self.name).content
        else:
            exported = self.export(network, resolution, "fp32").read_bytes()
            shape = (QUANTISATION_IMAGES, 3, resolution, resolution)
            images = np.random.default_rng(0).standard_normal(shape, np.float32)
            content = quantise_network(exported, images, images[:1]).content
        file = self.folder / f"{len(self._files)}-r{resolution}-{precision}.onnx"
        file.write_bytes(content)
        return file

    def _load(self, runtime: RuntimeName, file: Path, shape: tuple[int, ...]) -> LoadedNetwork:
        """Return the loaded network; ONNX Runtime has one for batches of every size."""
        key = runtime, file, 0 if runtime == "onnxruntime" else shape[0]
        if key not in self._loaded:
            self._loaded[key] = load_network(runtime, file, shape, self.threads)
        return self._loaded[key]


UNSUPPORTED = (ExportError, QuantisationError, RuntimeFailure)
"""What `RuntimeNetworks.open` raises for a network that a runtime does not support."""
