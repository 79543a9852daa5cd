"""Synthetic explanations for a small results/ tree.

The maps lie on the object as far as its cue survives the resolution.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from resomap.system import files
from resomap.workflow.layout import table_columns

METHODS = {"gradcam": 8, "integrated_gradients": None, "saliency": None}
"""Attribution methods and the side of their maps; None for the resolution of the image."""
BASELINES = ("random", "edge", "centre")
BANDWIDTHS = (4, 8)
# What each order gains in insertion less deletion.
FAITHFULNESS_GAINS = {
    "gradcam": 0.2,
    "integrated_gradients": 0.15,
    "saliency": 0.02,
    "random": 0.0,
    "centre": 0.08,
}


@dataclass(frozen=True)
class EvidenceSample:
    """The explained images of a run.

    `label` (n,), `group` or None, `right` predictions, `survival` of each cue in 0..1 (n,),
    `masks` (n, s, s) in 0..1 or None.
    """

    label: np.ndarray
    group: Sequence[str] | None
    right: np.ndarray
    survival: np.ndarray
    masks: np.ndarray | None
    resolution: int
    seed: int

    def identity_columns(self, image: int) -> dict[str, Any]:
        """Return the columns that identify an image."""
        return {
            "index": image,
            "label": self.label[image],
            "group": None if self.group is None else self.group[image],
        }


def subsample(images: np.ndarray, side: int) -> np.ndarray:
    """Return every k-th pixel of images (n, s, s, channels): (n, side, side, channels)."""
    steps = (np.arange(side) * images.shape[1]) // side
    return np.ascontiguousarray(images[:, steps][:, :, steps])


def write_explanations(folder: Path, sample: EvidenceSample, failed: Sequence[str]) -> None:
    """Write the maps of every method and four tables; without images only their headers.

    `failed` names the methods that fail the sanity check.
    """
    rng = np.random.default_rng([sample.seed, sample.resolution])
    maps = {}
    for method, side in METHODS.items():
        maps[method] = _maps(sample, min(side or sample.resolution, sample.resolution), rng)
        index = np.arange(len(sample.label))
        files.write_arrays(
            folder / f"{method}.npz", attribution=maps[method], index=index, target=sample.label
        )
    shape = (len(sample.label), sample.resolution, sample.resolution)
    for baseline in BASELINES:
        maps[baseline] = rng.random(shape, np.float32)
    localisation = [row for method in maps for row in _localisation(method, maps, sample)]
    tables = {
        "localisation": localisation,
        "faithfulness": list(_faithfulness(sample, rng)),
        "sanity": list(_sanity(sample, failed, rng)),
        "interventions": list(_interventions(sample)),
    }
    for name, rows in tables.items():
        files.write_rows(folder / f"{name}.csv", rows, table_columns(f"run_{name}"))


def _masks(sample: EvidenceSample, side: int) -> np.ndarray:
    masks = sample.masks
    if masks is None:
        masks = np.ones((len(sample.label), side, side))
    return subsample(masks[..., None], side)[..., 0]


def _maps(sample: EvidenceSample, side: int, rng: np.random.Generator) -> np.ndarray:
    inside = _masks(sample, side)
    noise = rng.normal(0, 0.35, inside.shape)
    strength = (0.15 + sample.survival)[:, None, None]
    relevance = strength * inside * np.abs(rng.normal(1, 0.5, inside.shape))
    return (relevance + noise).astype(np.float32)


def _localisation(
    method: str, maps: dict[str, np.ndarray], sample: EvidenceSample
) -> Iterator[dict[str, Any]]:
    side = maps[method].shape[-1]
    layer = "picture"
    if method in METHODS:
        layer = "features.4" if METHODS[method] else "input"
    inside, positive = _masks(sample, side), np.maximum(maps[method], 0)
    masses = (positive * inside).sum((1, 2)) / positive.sum((1, 2))
    row = {"method": method, "target": "contrast", "layer": layer, "grid": side, "zero_map": 0}
    if method == "integrated_gradients":
        row["completeness_error"] = 0.02
    for image, mass in enumerate(masses):
        right = {"right": int(sample.right[image])}
        measures = {
            "relevance_mass": mass,
            "relevance_mass_best": 0.9,
            "relevance_rank": mass,
            "relevance_rank_best": 0.95,
            "pointing_game": int(mass > 0.3),
            "pointing_chance": 0.15,
            "mask_area": 0.13,
        }
        if sample.masks is None:
            measures = {}
        yield row | sample.identity_columns(image) | right | measures


def _faithfulness(sample: EvidenceSample, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    images = range(len(sample.label))
    for (method, gain), bandwidth, image in product(
        FAITHFULNESS_GAINS.items(), BANDWIDTHS, images
    ):
        half = (gain + rng.normal(0, 0.01)) / 2
        yield {
            "method": method,
            "bandwidth": bandwidth,
            **sample.identity_columns(image),
            "deletion": 0.6 - half,
            "insertion": 0.6 + half,
        }


def _sanity(
    sample: EvidenceSample, failed: Sequence[str], rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    n = len(sample.label)
    for method, draw in product((*METHODS, "edge"), range(5 if n else 0)):
        correlation = 1.0
        if method != "edge":
            correlation = (0.8 if method in failed else 0.02) + rng.normal(0, 0.005)
        row = {"method": method, "draw": draw, "correlation": correlation}
        yield {**row, "floor": 0.02, "n": n}


def _interventions(sample: EvidenceSample) -> Iterator[dict[str, Any]]:
    """Yield predictions that follow the object; without its cue a third follows the rest."""
    if sample.masks is None:
        return
    for image, label in enumerate(sample.label):
        other = label ^ 1
        follows_rest = sample.survival[image] == 0 and image % 3 == 0
        yield {
            "kind": "exchange",
            **sample.identity_columns(image),
            "other": image ^ 1,
            "other_label": other,
            "before": label,
            "after": other if follows_rest else label,
            "follows": "rest" if follows_rest else "object",
        }


def write_agreement(
    path: Path, model: str, resolutions: Sequence[int], seeds: Sequence[int]
) -> None:
    """Write the agreement of a model's maps, which falls with the ratio of two resolutions."""
    rows = []
    for source, low, high in product(_sources(), resolutions, resolutions):
        has_ceiling = source["network"] == "trained" and len(seeds) > 1
        if low < high or (low == high and has_ceiling):
            row = {"family": "custom", "model": model}
            rows.append({**row, **source, **_agreement(source, low, high, len(seeds))})
    files.write_rows(path, rows, table_columns("model_agreement"))


def _sources() -> Iterator[dict[str, str]]:
    """Yield the columns that identify a set of maps."""
    for network, method in product(("trained", "untrained"), METHODS):
        for block in ("rule", "fixed") if METHODS[method] else ("input",):
            yield {"method": method, "block": block, "network": network}
    for baseline in BASELINES:
        yield {"method": baseline, "block": "picture", "network": "none"}


def _agreement(source: dict[str, str], low: int, high: int, num_seeds: int) -> dict[str, Any]:
    ceiling, floor = 0.55, 0.05
    shares = {"trained": 0.9 * (low / high) ** 0.5, "untrained": 0.1}
    of_baseline = {"edge": 0.8, "random": 0.0}.get(source["method"], 1.0)
    share = shares.get(source["network"], of_baseline)
    observed = ceiling if low == high else floor + share * (ceiling - floor)
    row = {
        "population": "all",
        "measure": "spearman",
        "low": low,
        "high": high,
        "side": 8,
        "n": 16,
        "seed_pairs": num_seeds * (num_seeds - 1),
        "same_seed": None if low == high else observed + 0.02,
        "floor": floor,
        "undefined": 0,
    }
    if num_seeds > 1:
        row |= _with_interval("observed", observed, 0.03)
    if num_seeds > 1 and source["network"] == "trained":
        row |= {"ceiling": ceiling, "interval": "bootstrap over pictures, these networks only"}
        if low < high:
            row |= _with_interval("normalised", share, 0.06)
    return row


def _with_interval(name: str, value: float, half: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}
