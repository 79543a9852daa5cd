"""What explaining costs, and whether its alarm can be trusted.

usage: python -m benchmarks.explain PART [--rounds 5] [--images 96] [--work DIR]

PART      gradcam    Grad-CAM against captum and pytorch_grad_cam, used as in their manuals
          methods    every method on tiny_cnn and resnet18
          alarm      false alarms of clean models, and hits if a sticker gives the answer away:
                     50 trainings, about 15 minutes on two idle cores; a second call with the
                     same --work resumes the first
          all        all of them

Each part replaces its own section of benchmarks/explain.md. CPU seconds are those of this
process after its imports, on one torch thread; `alarm` runs Snakemake on --cores cores and
measures no time.
"""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.alarm import run_alarm
from benchmarks.harness import (
    Contender,
    markdown,
    part_parser,
    ratios,
    run_interleaved,
    run_parts,
    shipped_config,
    spread,
)
from resomap.config.sweep_checks import find_architecture
from resomap.explain.attribution import METHODS, AttributionSettings, attribute
from resomap.explain.passes import CPU_PIXELS
from resomap.models.inspect import find_layer
from resomap.models.registry import build_model
from resomap.system.gpus import keep_freed_memory

TITLE = "# Explaining: what evidence costs, and whether its alarm can be trusted\n"
LIBRARIES = ("captum", "grad-cam", "scipy", "pot")
NUM_CLASSES = 8
TOLERANCE = 1e-5
SLOW_SECONDS, SLOW_ROUNDS = 5, 3
CELLS = (("tiny_cnn", 24), ("tiny_cnn", 48), ("tiny_cnn", 96), ("resnet18", 64))
GRADCAM_NOTE = """\
{images} noise images, random weights, the block of the rule, one torch thread in one process
that keeps freed memory as a job does (a user's does not: there captum and pytorch_grad_cam are
slower than here). `resomap` is `attribute("gradcam", ...)` on a model in channels_last, as a
job calls it; `captum` is LayerGradCam on the model as it is built (contiguous, weights that
require gradients); `pytorch_grad_cam` is GradCAM on the same. Ratios are round by round: CPU of
the other over that of resomap.

Difference from resomap's maps before any scaling: the largest of an image's cells over the
largest value of its map; the median image, the worst, and how many images are above
{tolerance}. A ReLU whose input is almost 0 may pass its gradient or not by rounding alone,
which is no small difference (one library differs from itself as much between batch sizes), so
the worst is given in float64 too.
"""
METHODS_NOTE = """\
CPU seconds for {images} noise images, one torch thread, random weights in channels_last,
{steps} steps of Integrated Gradients, {samples} samples of SmoothGrad. Methods of more than
{slow} s have {few} rounds.
"""
GRADCAM_HEAD = (
    *("model", "px", "block", "grid", "library", "batch", "CPU s", "CPU / resomap"),
    *("difference", "above", "in float64"),
)
MapFunction = Callable[[Tensor, Tensor], np.ndarray]


def run_gradcam(options: Namespace, _: Path) -> str:
    """Compare Grad-CAM with two libraries at each resolution; return the section."""
    _prepare_process()
    cells = product(options.models or ("resnet18",), options.resolutions or (64, 128, 224))
    rows = [row for cell in cells for row in _gradcam_rows(options, *cell)]
    note = GRADCAM_NOTE.format(images=options.images, tolerance=TOLERANCE)
    return f"{note}\n{markdown(GRADCAM_HEAD, rows)}"


def _prepare_process() -> None:
    """Set up the process as an entry point does."""
    torch.set_num_threads(1)
    keep_freed_memory()


def _gradcam_rows(
    options: Namespace, model_name: str, resolution: int
) -> Iterator[tuple[object, ...]]:
    """Yield a row per library, resomap first."""
    model = random_model(model_name)
    block, layer, side = find_layer(model, resolution, "auto")
    images, labels = noise_images(options.images, resolution)
    batch = _batch_size(options.images, resolution)
    libraries = [
        ("resomap", batch, resomap_gradcam(model, block, batch)),
        ("captum", batch, captum_gradcam(model, layer)),
        ("pytorch_grad_cam", batch, pytorch_gradcam(model, layer)),
        ("pytorch_grad_cam", 1, pytorch_gradcam(model, layer)),
    ]
    # These first calls also import what later calls need, so that imports are not measured.
    maps = [compute_maps(function, images, labels, size) for _, size, function in libraries]
    contenders = []
    for name, size, function in libraries:
        call = partial(compute_maps, function, images, labels, size)
        label = f"{name}, {resolution} px, batch {size}"
        contenders.append(Contender(label, options.images, call))
    run_interleaved(contenders, options.rounds)
    exact = _exact_difference(model, block, images, labels, batch)
    for (name, size, _), found, contender in zip(libraries, maps, contenders, strict=True):
        comparison = ["", "", ""]
        if contender is not contenders[0]:
            relative = spread(ratios(contender.cpus, contenders[0].cpus))
            comparison = [relative, *_format_differences(differences(found, maps[0]))]
        yield (
            *(model_name, resolution, block, f"{side} x {side}", name, size),
            *(spread(contender.cpus), *comparison, exact if name == "captum" else ""),
        )


def _batch_size(images: int, resolution: int) -> int:
    return min(images, max(1, CPU_PIXELS // resolution**2))


def random_model(name: str) -> nn.Module:
    """Return a model with random weights from a fixed seed, in evaluation mode."""
    torch.manual_seed(0)
    return build_model(find_architecture(shipped_config().models, name), NUM_CLASSES).eval()


def noise_images(count: int, resolution: int) -> tuple[Tensor, Tensor]:
    """Return normalised images (count, 3, r, r) and a class for each (count,)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, resolution, resolution, generator=generator)
    return images, torch.arange(count) % NUM_CLASSES


def compute_maps(
    function: MapFunction, images: Tensor, labels: Tensor, batch: int
) -> np.ndarray:
    """Return the maps of all images, `batch` images per call."""
    batches = zip(images.split(batch), labels.split(batch), strict=True)
    return np.concatenate([function(*part) for part in batches])


def resomap_gradcam(model: nn.Module, block: str, batch: int) -> MapFunction:
    """Return Grad-CAM as the explain job computes it."""
    ours = deepcopy(model).to(memory_format=torch.channels_last)
    settings = AttributionSettings(
        layer=ours.get_submodule(block), ig_steps=2, smoothgrad_samples=2, batch_size=batch
    )

    def function(images: Tensor, labels: Tensor) -> np.ndarray:
        images = images.to(memory_format=torch.channels_last)
        weights = nn.functional.one_hot(labels, NUM_CLASSES).to(images.dtype)
        return attribute("gradcam", ours, images, weights, settings)

    return function


def captum_gradcam(model: nn.Module, layer: nn.Module) -> MapFunction:
    """Return Grad-CAM as captum's manual computes it."""
    from captum.attr import LayerGradCam

    explainer = LayerGradCam(model, layer)

    def function(images: Tensor, labels: Tensor) -> np.ndarray:
        return explainer.attribute(images, target=labels)[:, 0].detach().numpy()

    return function


def pytorch_gradcam(model: nn.Module, layer: nn.Module) -> MapFunction:
    """Return Grad-CAM as pytorch_grad_cam's manual computes it, before it clips and scales."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def function(images: Tensor, labels: Tensor) -> np.ndarray:
        targets = [ClassifierOutputTarget(label) for label in labels.tolist()]
        with GradCAM(model, [layer]) as cam:
            cam(input_tensor=images, targets=targets)
            (activations,) = cam.activations_and_grads.activations
            (gradients,) = cam.activations_and_grads.gradients
            arrays = activations.numpy(), gradients.numpy()
            raw: np.ndarray = cam.get_cam_image(images, layer, targets, *arrays)
        return raw

    return function


def differences(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Return the largest difference of each map (n,), in units of its largest magnitude."""
    scale = np.abs(theirs).max(axis=(1, 2))
    largest: np.ndarray = np.abs(theirs - ours).max(axis=(1, 2)) / scale
    return largest


def _format_differences(values: np.ndarray) -> tuple[str, str]:
    """Return median and maximum, and how many are above TOLERANCE."""
    above = f"{(values > TOLERANCE).sum()} of {len(values)}"
    return f"{np.median(values):.1e}, {values.max():.1e}", above


def _exact_difference(
    model: nn.Module, block: str, images: Tensor, labels: Tensor, batch: int
) -> str:
    """Return the largest difference from captum in float64, where rounding flips no ReLU."""
    exact, doubles = deepcopy(model).double(), images.double()
    functions = (
        captum_gradcam(exact, exact.get_submodule(block)),
        resomap_gradcam(exact, block, batch),
    )
    theirs, ours = (compute_maps(function, doubles, labels, batch) for function in functions)
    return f"{differences(theirs, ours).max():.1e}"


def run_methods(options: Namespace, _: Path) -> str:
    """Time every method on each model; return the section."""
    _prepare_process()
    cells = CELLS
    if options.models and options.resolutions:
        cells = tuple(product(options.models, options.resolutions))
    costs = [_time_methods(options, *cell) for cell in cells]
    head = ("method", *(f"{model}, {resolution} px" for model, resolution in cells))
    rows = [(method, *(spread(cost[method], 3) for cost in costs)) for method in METHODS]
    settings = shipped_config().explainability
    note = METHODS_NOTE.format(
        images=options.images,
        steps=settings.ig_steps,
        samples=settings.smoothgrad_samples,
        slow=SLOW_SECONDS,
        few=SLOW_ROUNDS,
    )
    return f"{note}\n{markdown(head, rows)}"


def _time_methods(options: Namespace, name: str, resolution: int) -> dict[str, list[float]]:
    """Return the CPU seconds of every round of every method."""
    model, config = random_model(name), shipped_config().explainability
    block, _, _ = find_layer(model, resolution, "auto")
    model.to(memory_format=torch.channels_last)
    settings = AttributionSettings(
        model.get_submodule(block),
        config.ig_steps,
        config.smoothgrad_samples,
        _batch_size(options.images, resolution),
    )
    images, labels = noise_images(options.images, resolution)
    images = images.to(memory_format=torch.channels_last)
    weights = nn.functional.one_hot(labels, NUM_CLASSES).float()
    contenders = {}
    for method in METHODS:
        attribute(method, model, images[:2], weights[:2], settings)  # imports are not measured
        call = partial(attribute, method, model, images, weights, settings)
        label = f"{method}, {name}, {resolution} px"
        contenders[method] = Contender(label, options.images, call)
    _run_fast_more_often(contenders.values(), options.rounds)
    return {method: contender.cpus for method, contender in contenders.items()}


def _run_fast_more_often(contenders: Iterable[Contender], rounds: int) -> None:
    """Run all contenders SLOW_ROUNDS times, and the fast ones `rounds` times."""
    everything = list(contenders)
    run_interleaved(everything, min(rounds, SLOW_ROUNDS))
    fast = [one for one in everything if median(one.walls) < SLOW_SECONDS]
    run_interleaved(fast, rounds - SLOW_ROUNDS)


PARTS = {
    "gradcam": ("Grad-CAM", run_gradcam),
    "methods": ("Methods", run_methods),
    "alarm": ("Alarm", run_alarm),
}


def main() -> None:
    """Parse the command line and write the sections."""
    parser = part_parser(__doc__, PARTS, "explain.md")
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--models", nargs="+", help="instead of the part's own")
    parser.add_argument("--resolutions", type=int, nargs="+", help="instead of the part's own")
    seeds = "alarm: clean trainings per cell, and those with a sticker"
    parser.add_argument("--seeds", type=int, nargs=2, default=(20, 5), help=seeds)
    run_parts(parser.parse_args(), TITLE, PARTS, LIBRARIES)


if __name__ == "__main__":
    main()
