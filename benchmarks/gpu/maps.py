"""Explaining a run with passes of two sizes: what a CPU suits, and what a card takes.

usage: python -m benchmarks.gpu.maps [--device cuda] [--model resnet18] [--resolution 224]

Random weights and noise images: neither changes what explaining costs.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.card import synchronise
from benchmarks.gpu.output import (
    NOT_MEASURED,
    Budget,
    add_device_option,
    or_failure,
    print_rows,
)
from benchmarks.harness import shipped_config
from resomap.config.architecture import Architecture
from resomap.config.schema import Config
from resomap.config.sweep_checks import find_architecture
from resomap.explain.passes import CPU_PIXELS, CUDA_PIXELS
from resomap.explain.run import ExplainedImages, ExplainedNetwork, ExplainedRun
from resomap.models.inspect import find_layer, top_modules
from resomap.models.registry import build_model
from resomap.system.precision import use_float32

NUM_CLASSES = 8
METHODS = ("gradcam", "integrated_gradients", "smoothgrad", "occlusion", "guided_backprop")
HEAD = ("what", "pixels a pass", "images a pass", "s", "largest difference of a map")


def build(architecture: Architecture, device: torch.device, seed: int) -> torch.nn.Module:
    """Return a network with weights that follow from `seed`, as the job builds it."""
    torch.manual_seed(seed)
    return build_model(architecture, NUM_CLASSES).to(device, memory_format=torch.channels_last)


def open_run(config: Config, options: argparse.Namespace) -> ExplainedRun:
    """Return a run on noise images."""
    architecture = find_architecture(config.models, options.model)
    builder = partial(build, architecture, torch.device(options.device))
    model, side, count = builder(0), options.resolution, options.images
    layer = find_layer(model, side, "auto")[0]
    network = ExplainedNetwork(model, 0, layer, layer, top_modules(model, side), builder)
    pixels = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)
    images = ExplainedImages(
        index=np.arange(count),
        pixels=pixels,
        labels=np.arange(count) % NUM_CLASSES,
        masks=None,
        stickers=None,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        groups=None,
        pairs=None,
    )
    return ExplainedRun(network, images, config.explainability)


def rows(options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield a row of HEAD per method and size of a pass, and for the faithfulness of all maps."""
    methods = {"explainability": {"methods": options.methods}}
    run, budget = open_run(shipped_config(methods), options), Budget(options.seconds)
    layer = run.network.rule_layer
    maps: dict[str, np.ndarray] = {}
    for method in options.methods:
        work = partial(run.compute_maps, run.network.model, method=method, layer=layer)
        yield from _compare(run, method, work, budget, maps)
    run.passes.images = max(1, CUDA_PIXELS // options.resolution**2)
    explanations: Any = or_failure(lambda: list(run.explain()))
    if isinstance(explanations, str):
        yield ("faithfulness", "", "", explanations, "")
        return
    work = partial(run.faithfulness_rows, explanations)
    yield from _compare(run, "faithfulness", work, budget, {})


def _compare(
    run: ExplainedRun,
    name: str,
    work: Callable[[], Any],
    budget: Budget,
    maps: dict[str, np.ndarray],
) -> Iterator[tuple[object, ...]]:
    side, device = run.inputs.shape[-1], run.inputs.device
    found: list[Any] = []
    # The large passes first: they are what a job takes, and what a short budget must hold.
    for pixels in (CUDA_PIXELS, CPU_PIXELS):
        images = max(1, pixels // side**2)
        if not budget.allows(0):
            yield (name, pixels, images, NOT_MEASURED, "")
            continue
        run.passes.images = images
        started = perf_counter()
        found.append(or_failure(work))
        synchronise(device)
        seconds = perf_counter() - started
        shown = found[-1] if isinstance(found[-1], str) else f"{seconds:.2f}"
        yield (name, pixels, run.passes.images, shown, _difference(found))


def _difference(found: list[Any]) -> str:
    """Return the largest difference between two maps over the largest value of the first."""
    if len(found) < 2 or not all(isinstance(each, np.ndarray) for each in found):
        return ""
    return f"{np.abs(found[0] - found[1]).max() / np.abs(found[0]).max():.1e}"


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_device_option(parser, seconds=40)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    options = parser.parse_args()
    use_float32()
    title = f"Explaining {options.model} at {options.resolution} px, {options.images} images"
    print_rows(title, HEAD, rows(options))


if __name__ == "__main__":
    main()
