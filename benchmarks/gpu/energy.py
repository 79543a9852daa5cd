"""Energy of one cell by the counter of the device, to see whether the counter works.

usage: python -m benchmarks.gpu.energy [--device cuda] [--model resnet18] [--resolution 64]

Shorter windows than a profile takes: a check of the counter, and no figure to publish.
"""

import argparse
from collections.abc import Iterator

import torch

from benchmarks.gpu.output import NOT_MEASURED, add_device_option, print_rows
from benchmarks.harness import shipped_config
from resomap.config.sweep_checks import find_architecture
from resomap.models.registry import build_model
from resomap.profiling.cells import draw_images
from resomap.profiling.energy import Windows, measure_energy, open_meter, why_not_measured
from resomap.profiling.variants import (
    build_workload,
    parse_variant,
    prepare_model,
    synchronised,
)

HEAD = ("model", "px", "batch", "J per image", "above idle", "W", "idle W", "spread", "windows")


def rows(options: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """Yield the row of the cell, or the reason why there is none."""
    device = torch.device(options.device)
    cell = (options.model, options.resolution, options.batch_size)
    meter = open_meter(device)
    if meter is None:
        yield (*cell, why_not_measured(device) or NOT_MEASURED, *[""] * 5)
        return
    architecture = find_architecture(shipped_config().models, options.model)
    variant = parse_variant("eager-bf16", "bf16", "channels_last")
    model = prepare_model(build_model(architecture, 8), variant, device)
    images = draw_images(options.resolution, options.batch_size).to(device)
    work = synchronised(build_workload(model, variant, images), device)
    windows = Windows(number=2, seconds=options.window_seconds, ramp_seconds=1.0)
    energy = measure_energy(meter, work, options.batch_size, windows)
    joules = (energy.energy_j_per_image, energy.energy_j_per_image_above_idle)
    power = (energy.power_w, energy.idle_power_w)
    yield (
        *(*cell, *(f"{value:.2e}" for value in joules), *(f"{value:.0f}" for value in power)),
        *(f"{energy.relative_spread:.1%}", windows.number),
    )


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_device_option(parser)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--window-seconds", type=float, default=3.0)
    options = parser.parse_args()
    print_rows("Energy of one cell", HEAD, rows(options))


if __name__ == "__main__":
    main()
