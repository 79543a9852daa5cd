"""Read the maps and predictions that a sweep has stored, for the comparison of maps."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from pathlib import Path

import numpy as np

from resomap.explain.agreement.compare import Block, ModelMaps, NetworkState
from resomap.explain.baselines import BASELINES, baseline_maps
from resomap.metrics import is_correct
from resomap.workflow.checked_files import read_arrays
from resomap.workflow.predictions import logits_name

Runs = Sequence[tuple[int, int, dict[str, np.ndarray]]]
"""Resolution, seed and arrays of each run."""


def read_maps(
    model: Path, method: str, resolutions: Sequence[int], seeds: Sequence[int]
) -> list[ModelMaps]:
    """Return the maps of one method for one model, once per block and for untrained networks.

    `model` is the folder of the model's runs. Runs without maps are skipped.
    """
    runs = list(_read_runs([model], resolutions, seeds, f"explanations/{method}.npz"))
    block: Block = "rule"
    untrained_block: Block = "fixed"
    if any(arrays["layer"] == "input" for _, _, arrays in runs):
        block = untrained_block = "input"
    return [
        *_collect("attribution", runs, method, block, "trained"),
        *_collect("fixed_attribution", runs, method, "fixed", "trained"),
        *_collect("untrained", runs, method, untrained_block, "untrained"),
    ]


def iter_baselines(images: Mapping[int, np.ndarray], index: np.ndarray) -> Iterator[ModelMaps]:
    """Yield the maps of the baselines that do not use the model.

    `images` maps each resolution r to uint8 (n, r, r, 3); `index` (n,) are the positions of the
    images in the test split.
    """
    for name in sorted(BASELINES):
        # One entry under seed 0: there is no training whose seed could vary.
        maps = {
            resolution: {0: baseline_maps(name, pixels, index)}
            for resolution, pixels in images.items()
        }
        yield ModelMaps(name, "picture", "none", index, maps)


def correct_everywhere(
    models: Sequence[Path],
    resolutions: Sequence[int],
    seeds: Sequence[int],
    pairs: Sequence[Sequence[int]] | None,
) -> np.ndarray:
    """Return the test positions of the images that every run classifies correctly.

    Each run is evaluated at its own resolution, and runs without predictions are skipped.
    `models` are the folders of all models.
    """
    correct = []
    for resolution, _, arrays in _read_runs(models, resolutions, seeds, "predictions.npz"):
        logits = arrays[logits_name(resolution)]
        correct.append(arrays["index"][is_correct(logits, arrays["label"], pairs)])
    return reduce(np.intersect1d, correct) if correct else np.zeros(0, np.int64)


def _read_runs(
    models: Sequence[Path], resolutions: Sequence[int], seeds: Sequence[int], name: str
) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    """Yield the file `name` of every run that has one with images."""
    for model, resolution, seed in product(models, resolutions, seeds):
        path = model / f"r{resolution}" / f"seed{seed}" / name
        # A diverged run writes its files without images.
        if path.exists() and len((arrays := read_arrays(path))["index"]):
            yield resolution, seed, arrays


def _collect(
    key: str, runs: Runs, method: str, block: Block, network: NetworkState
) -> Iterator[ModelMaps]:
    """Yield the maps that the runs store under `key`; nothing where no run does."""
    maps: dict[int, dict[int, np.ndarray]] = {}
    for resolution, seed, arrays in runs:
        if len(arrays.get(key, ())):
            maps.setdefault(resolution, {})[seed] = arrays[key]
            # Maps of untrained networks exist only for the first images of the index.
            index = arrays["index"][: len(arrays[key])]
    if maps:
        yield ModelMaps(method, block, network, index, maps)
