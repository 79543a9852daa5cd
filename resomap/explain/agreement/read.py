"""What a sweep left behind to be compared: the maps of its runs, those of the baselines, and which pictures every run answers right."""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import product
from pathlib import Path

import numpy as np

from resomap.explain.agreement.compare import Block, ModelMaps, Network
from resomap.explain.baselines import BASELINES, baseline_maps
from resomap.metrics import is_correct
from resomap.system.files import read_arrays

Runs = Sequence[tuple[int, int, dict[str, np.ndarray]]]
"""Resolution, seed and arrays of each run."""


def read_maps(
    model: Path, method: str, resolutions: Sequence[int], seeds: Sequence[int]
) -> list[ModelMaps]:
    """What one method says of one network: once for each block that it was read at, and of networks that have learnt nothing.

    `model` is the folder of the network's runs; runs without maps are left out, and what no run has.
    """
    runs = list(_runs([model], resolutions, seeds, f"explanations/{method}.npz"))
    of_input = any(arrays["layer"] == "input" for _, _, arrays in runs)
    return [
        *_stored("attribution", runs, method, "input" if of_input else "rule", "trained"),
        *_stored("fixed_attribution", runs, method, "fixed", "trained"),
        *_stored("untrained", runs, method, "input" if of_input else "fixed", "untrained"),
    ]


def iter_baselines(images: Mapping[int, np.ndarray], index: np.ndarray) -> Iterator[ModelMaps]:
    """The maps that know no network; `images` are uint8 (n, r, r, 3) of each resolution r, `index` (n,) their places in the test split."""
    for name in sorted(BASELINES):
        maps = {
            resolution: {0: baseline_maps(name, pictures, index)}
            for resolution, pictures in images.items()
        }
        yield ModelMaps(name, "picture", "none", index, maps)


def correct_everywhere(
    models: Sequence[Path],
    resolutions: Sequence[int],
    seeds: Sequence[int],
    pairs: Sequence[Sequence[int]] | None,
) -> np.ndarray:
    """Places in the test split of the pictures that every run answers right at its own resolution; runs without answers are left out.

    `models` are the folders of all networks.
    """
    right = [
        arrays["index"][is_correct(arrays[f"logits_r{resolution}"], arrays["label"], pairs)]
        for resolution, _, arrays in _runs(models, resolutions, seeds, "predictions.npz")
    ]
    return reduce(np.intersect1d, right) if right else np.zeros(0, np.int64)


def _runs(
    models: Sequence[Path], resolutions: Sequence[int], seeds: Sequence[int], name: str
) -> Iterator[tuple[int, int, dict[str, np.ndarray]]]:
    for model, resolution, seed in product(models, resolutions, seeds):
        path = model / f"r{resolution}" / f"seed{seed}" / name
        if path.exists() and len((arrays := read_arrays(path))["index"]):
            yield resolution, seed, arrays


def _stored(
    key: str, runs: Runs, method: str, block: Block, network: Network
) -> Iterator[ModelMaps]:
    """The maps that runs hold under `key`, of the pictures that stand first in their index; nothing where none does."""
    maps: dict[int, dict[int, np.ndarray]] = {}
    for resolution, seed, arrays in runs:
        if len(arrays.get(key, ())):
            maps.setdefault(resolution, {})[seed] = arrays[key]
            index = arrays["index"][: len(arrays[key])]
    if maps:
        yield ModelMaps(method, block, network, index, maps)
