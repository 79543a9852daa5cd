"""Maps of attribution in one process, after imports: Grad-CAM against the libraries called as people call them, and what every method costs."""

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.processes import shipped_config
from benchmarks.tables import markdown, ratios, spread
from benchmarks.turns import Way, take_turns
from resomap.config.load import find_architecture
from resomap.explain.attribution import METHODS, AttributionSettings, attribute
from resomap.explain.run import BATCH_PIXELS
from resomap.models.inspect import find_layer
from resomap.models.registry import build_model
from resomap.system.gpus import keep_freed_memory

CLASSES = 8
EQUAL = 1e-5
SLOW_SECONDS, FEW_ROUNDS = 5, 3
GRADCAM_NOTE = """{pictures} pictures of noise, fresh weights, the block that the rule names, one torch thread in one process that keeps freed memory
as a job does (a user's does not, so captum and pytorch_grad_cam are faster here than in their own). `resomap` is `attribute("gradcam", ...)` on a network
in channels_last, as a job calls it; `captum` is LayerGradCam on the network as it is built (contiguous, weights that ask for gradients);
`pytorch_grad_cam` is GradCAM on the same. Ratios are round by round: CPU of the other over that of resomap, so that 3 means that resomap needs a third.

Difference from resomap's maps before anything is scaled: the largest of a picture's cells over the largest value of its map; the median picture, the
worst, and how many pictures are above {equal}. A ReLU whose input is almost 0 may pass its gradient or not by rounding alone, which is no small
difference (one library differs from itself by as much from one batch size to another), so the worst is given in float64 too.
"""
METHODS_NOTE = """CPU seconds for {pictures} pictures of noise, one torch thread, fresh weights in channels_last, {steps} steps of Integrated Gradients,
{samples} samples of SmoothGrad. What takes more than {slow} s has {few} rounds.
"""
GRADCAM_HEAD = (
    "model",
    "px",
    "block",
    "grid",
    "way",
    "batch",
    "CPU s",
    "CPU / resomap",
    "difference",
    "above",
    "in float64",
)
CELLS = (("tiny_cnn", 24), ("tiny_cnn", 48), ("tiny_cnn", 96), ("resnet18", 64))
Maps = Callable[[Tensor, Tensor], np.ndarray]


def run_gradcam(options: Namespace, _: Path) -> str:
    """Grad-CAM at each resolution, as text for the page."""
    prepare_process()
    cells = product(options.models or ("resnet18",), options.resolutions or (64, 128, 224))
    rows = [row for cell in cells for row in gradcam_rows(options, *cell)]
    return f"{GRADCAM_NOTE.format(pictures=options.pictures, equal=EQUAL)}\n{markdown(GRADCAM_HEAD, rows)}"


def prepare_process() -> None:
    """What an entry point does to its process first."""
    torch.set_num_threads(1)
    keep_freed_memory()


def gradcam_rows(
    options: Namespace, model_name: str, resolution: int
) -> Iterator[tuple[object, ...]]:
    """A row a way, the ways in turn; resomap, which the others are held against, first."""
    model = network(model_name)
    name, layer, side = find_layer(model, resolution, "auto")
    images, labels = noise(options.pictures, resolution)
    batch = min(options.pictures, max(1, BATCH_PIXELS // resolution**2))
    called = [
        ("resomap", batch, our_gradcam(model, name, batch)),
        ("captum", batch, captum_gradcam(model, layer)),
        ("pytorch_grad_cam", batch, torch_gradcam(model, layer)),
        ("pytorch_grad_cam", 1, torch_gradcam(model, layer)),
    ]
    found = [
        in_batches(maps, images, labels, size) for _, size, maps in called
    ]  # imports, too, so that they are not measured
    ways = [
        Way(
            f"{way}, {resolution} px, batch {size}",
            options.pictures,
            partial(in_batches, maps, images, labels, size),
        )
        for way, size, maps in called
    ]
    take_turns(ways, options.rounds)
    exact = exact_difference(model, name, images, labels, batch)
    for (way, size, _), maps, measured in zip(called, found, ways, strict=True):
        against = (
            (spread(ratios(cpu(measured), cpu(ways[0]))), *told(differences(maps, found[0])))
            if measured is not ways[0]
            else [""] * 3
        )
        yield (
            model_name,
            resolution,
            name,
            f"{side} x {side}",
            way,
            size,
            spread(cpu(measured)),
            *against,
            exact if way == "captum" else "",
        )


def cpu(way: Way) -> list[float]:
    """CPU seconds of every round."""
    return [way.pictures / rate for rate in way.per_cpu]


def network(name: str) -> nn.Module:
    """A network with fresh weights, always the same, ready to be explained."""
    torch.manual_seed(0)
    return build_model(find_architecture(shipped_config().models, name), CLASSES).eval()


def noise(count: int, resolution: int) -> tuple[Tensor, Tensor]:
    """Normalised pictures (count, 3, r, r), and a class for each (count,)."""
    return torch.randn(
        count, 3, resolution, resolution, generator=torch.Generator().manual_seed(0)
    ), torch.arange(count) % CLASSES


def in_batches(maps: Maps, images: Tensor, labels: Tensor, batch: int) -> np.ndarray:
    """The maps of all pictures, `batch` in a call."""
    return np.concatenate(
        [maps(*part) for part in zip(images.split(batch), labels.split(batch), strict=True)]
    )


def our_gradcam(model: nn.Module, name: str, batch: int) -> Maps:
    """As the explain job does it."""
    ours = deepcopy(model).to(memory_format=torch.channels_last)
    settings = AttributionSettings(
        layer=ours.get_submodule(name), ig_steps=2, smoothgrad_samples=2, batch_size=batch
    )
    return lambda images, labels: attribute(
        "gradcam",
        ours,
        images.to(memory_format=torch.channels_last),
        nn.functional.one_hot(labels, CLASSES).to(images.dtype),
        settings,
    )


def captum_gradcam(model: nn.Module, layer: nn.Module) -> Maps:
    """As captum's manual does it."""
    from captum.attr import LayerGradCam

    explainer = LayerGradCam(model, layer)
    return lambda images, labels: (
        explainer.attribute(images, target=labels)[:, 0].detach().numpy()
    )


def torch_gradcam(model: nn.Module, layer: nn.Module) -> Maps:
    """As pytorch_grad_cam's manual does it; what comes back is the map before it is clipped and scaled, from what the call left behind."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def maps(images: Tensor, labels: Tensor) -> np.ndarray:
        targets = [ClassifierOutputTarget(label) for label in labels.tolist()]
        with GradCAM(model, [layer]) as cam:
            cam(input_tensor=images, targets=targets)
            (activations,), (gradients,) = (
                cam.activations_and_grads.activations,
                cam.activations_and_grads.gradients,
            )
            raw: np.ndarray = cam.get_cam_image(
                images, layer, targets, activations.numpy(), gradients.numpy()
            )
        return raw

    return maps


def differences(theirs: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """The largest difference of each picture's map (n,), of maps (n, h, w), in units of its largest magnitude."""
    largest: np.ndarray = np.abs(theirs - ours).max(axis=(1, 2)) / np.abs(theirs).max(
        axis=(1, 2)
    )
    return largest


def told(found: np.ndarray) -> tuple[str, str]:
    """The median and the largest difference, and how many are above EQUAL."""
    return (
        f"{np.median(found):.1e}, {found.max():.1e}",
        f"{(found > EQUAL).sum()} of {len(found)}",
    )


def exact_difference(
    model: nn.Module, name: str, images: Tensor, labels: Tensor, batch: int
) -> str:
    """The largest difference from captum where rounding turns no ReLU."""
    exact, doubles = deepcopy(model).double(), images.double()
    theirs = in_batches(
        captum_gradcam(exact, exact.get_submodule(name)), doubles, labels, batch
    )
    return f"{differences(theirs, in_batches(our_gradcam(exact, name, batch), doubles, labels, batch)).max():.1e}"


def run_methods(options: Namespace, _: Path) -> str:
    """Every method on each network, as text for the page."""
    prepare_process()
    cells = (
        list(product(options.models, options.resolutions))
        if options.models and options.resolutions
        else CELLS
    )
    costs = [method_costs(options, *cell) for cell in cells]
    head = ("method", *(f"{model}, {resolution} px" for model, resolution in cells))
    rows = ((method, *(spread(cost[method], 3) for cost in costs)) for method in METHODS)
    chosen = shipped_config().explainability
    note = METHODS_NOTE.format(
        pictures=options.pictures,
        steps=chosen.ig_steps,
        samples=chosen.smoothgrad_samples,
        slow=SLOW_SECONDS,
        few=FEW_ROUNDS,
    )
    return f"{note}\n{markdown(head, rows)}"


def method_costs(options: Namespace, name: str, resolution: int) -> dict[str, list[float]]:
    """CPU seconds of every round of every method, the methods in turn."""
    model, chosen = network(name), shipped_config().explainability
    layer, _, _ = find_layer(model, resolution, "auto")
    model.to(memory_format=torch.channels_last)
    batch = min(options.pictures, max(1, BATCH_PIXELS // resolution**2))
    settings = AttributionSettings(
        model.get_submodule(layer), chosen.ig_steps, chosen.smoothgrad_samples, batch
    )
    images, labels = noise(options.pictures, resolution)
    images, weights = (
        images.to(memory_format=torch.channels_last),
        nn.functional.one_hot(labels, CLASSES).float(),
    )
    for method in METHODS:
        attribute(
            method, model, images[:2], weights[:2], settings
        )  # its imports are not measured
    ways = {
        method: Way(
            f"{method}, {name}, {resolution} px",
            options.pictures,
            partial(attribute, method, model, images, weights, settings),
        )
        for method in METHODS
    }
    take_slow_turns(ways.values(), options.rounds)
    return {method: cpu(way) for method, way in ways.items()}


def take_slow_turns(ways: Iterable[Way], rounds: int) -> None:
    """Run all of them FEW_ROUNDS times over, and those that do not take long `rounds` times."""
    everything: Sequence[Way] = list(ways)
    take_turns(everything, min(rounds, FEW_ROUNDS))
    take_turns(
        [way for way in everything if median(way.walls) < SLOW_SECONDS], rounds - FEW_ROUNDS
    )
