"""The evidence of a small finished results/ tree: maps that lie on the object as far as its cue survives, and what is measured of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resomap.system import files

METHODS = {"gradcam": 8, "integrated_gradients": None, "saliency": None}
"""Attribution methods, and the side of their maps where it is not the picture's."""
BANDWIDTHS = (4, 8)
LOCALISATION = (
    "method", "target", "layer", "grid", "index", "label", "group", "right", "relevance_mass", "relevance_mass_best", "relevance_rank",
    "relevance_rank_best", "pointing_game", "pointing_chance", "mask_area", "zero_map", "completeness_error",
)  # fmt: skip
FAITHFULNESS = ("method", "bandwidth", "index", "label", "group", "deletion", "insertion")
SANITY = ("method", "draw", "correlation", "floor", "n")
INTERVENTIONS = (
    "kind",
    "index",
    "other",
    "label",
    "other_label",
    "group",
    "before",
    "after",
    "follows",
)
AGREEMENT = (
    "family", "model", "method", "block", "network", "population", "measure", "low", "high", "side", "n", "seed_pairs", "same_seed", "observed",
    "observed_low", "observed_high", "floor", "ceiling", "normalised", "normalised_low", "normalised_high", "interval", "undefined",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """The explained pictures of a run: labels, groups or None, right answers, how much of each cue survives (n,); masks (n, s, s) in 0..1 or None."""

    label: np.ndarray
    group: Sequence[str] | None
    right: np.ndarray
    survival: np.ndarray
    masks: np.ndarray | None
    resolution: int
    seed: int

    def named(self, picture: int) -> dict[str, Any]:
        """The columns that name a picture."""
        return {
            "index": picture,
            "label": self.label[picture],
            "group": None if self.group is None else self.group[picture],
        }


def reduce(images: np.ndarray, side: int) -> np.ndarray:
    """Every so-manieth pixel (n, side, side, channels)."""
    steps = (np.arange(side) * images.shape[1]) // side
    return np.ascontiguousarray(images[:, steps][:, :, steps])


def write_explanations(folder: Path, shown: Shown, struck: Sequence[str]) -> None:
    """The maps of every method and the four tables beside them; without pictures, header only."""
    rng = np.random.default_rng([shown.seed, shown.resolution])
    maps = {}
    for method, grid in METHODS.items():
        maps[method] = _maps(shown, min(grid or shown.resolution, shown.resolution), rng)
        index = np.arange(len(shown.label))
        files.write_arrays(
            folder / f"{method}.npz", attribution=maps[method], index=index, target=shown.label
        )
    for baseline in ("random", "edge", "centre"):
        maps[baseline] = rng.random(
            (len(shown.label), shown.resolution, shown.resolution), np.float32
        )
    files.write_rows(
        folder / "localisation.csv",
        [row for method in maps for row in _localisation(method, maps[method], shown)],
        LOCALISATION,
    )
    files.write_rows(folder / "faithfulness.csv", list(_faithfulness(shown, rng)), FAITHFULNESS)
    files.write_rows(folder / "sanity.csv", list(_sanity(shown, struck, rng)), SANITY)
    files.write_rows(folder / "interventions.csv", list(_interventions(shown)), INTERVENTIONS)


def _inside(shown: Shown, side: int) -> np.ndarray:
    masks = shown.masks if shown.masks is not None else np.ones((len(shown.label), side, side))
    return reduce(masks[..., None], side)[..., 0]


def _maps(shown: Shown, side: int, rng: np.random.Generator) -> np.ndarray:
    inside = _inside(shown, side)
    noise = rng.normal(0, 0.35, inside.shape)
    return (
        (0.15 + shown.survival)[:, None, None]
        * inside
        * np.abs(rng.normal(1, 0.5, inside.shape))
        + noise
    ).astype(np.float32)


def _localisation(method: str, maps: np.ndarray, shown: Shown) -> Iterator[dict[str, Any]]:
    side = maps.shape[-1]
    layer = "picture" if method not in METHODS else "features.4" if METHODS[method] else "input"
    inside, positive = _inside(shown, side), np.maximum(maps, 0)
    mass = (positive * inside).sum((1, 2)) / positive.sum((1, 2))
    for picture in range(len(shown.label)):
        where = {
            "method": method,
            "target": "contrast",
            "layer": layer,
            "grid": side,
            "right": int(shown.right[picture]),
        }
        measures = {
            "relevance_mass": mass[picture], "relevance_mass_best": 0.9, "relevance_rank": mass[picture], "relevance_rank_best": 0.95,
            "pointing_game": int(mass[picture] > 0.3), "pointing_chance": 0.15, "mask_area": 0.13, "zero_map": 0,
        }  # fmt: skip
        error = 0.02 if method == "integrated_gradients" else None
        yield {
            **where,
            **shown.named(picture),
            **(measures if shown.masks is not None else {"zero_map": 0}),
            "completeness_error": error,
        }


def _faithfulness(shown: Shown, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    orders = {
        "gradcam": 0.2,
        "integrated_gradients": 0.15,
        "saliency": 0.02,
        "random": 0.0,
        "centre": 0.08,
    }
    for method, gain in orders.items():
        for bandwidth in BANDWIDTHS:
            for picture in range(len(shown.label)):
                half = (gain + rng.normal(0, 0.01)) / 2
                yield {
                    "method": method,
                    "bandwidth": bandwidth,
                    **shown.named(picture),
                    "deletion": 0.6 - half,
                    "insertion": 0.6 + half,
                }


def _sanity(
    shown: Shown, struck: Sequence[str], rng: np.random.Generator
) -> Iterator[dict[str, Any]]:
    for method in (*METHODS, "edge"):
        for draw in range(5 if len(shown.label) else 0):
            correlation = (
                1.0
                if method == "edge"
                else (0.8 if method in struck else 0.02) + rng.normal(0, 0.005)
            )
            yield {
                "method": method,
                "draw": draw,
                "correlation": correlation,
                "floor": 0.02,
                "n": len(shown.label),
            }


def _interventions(shown: Shown) -> Iterator[dict[str, Any]]:
    """Answers follow the object where its cue survives, and a coin where it does not."""
    for picture in range(len(shown.label) if shown.masks is not None else 0):
        label, other = shown.label[picture], shown.label[picture] ^ 1
        rest = shown.survival[picture] == 0 and picture % 3 == 0
        answer = {
            "before": label,
            "after": other if rest else label,
            "follows": "rest" if rest else "object",
        }
        yield {
            "kind": "exchange",
            **shown.named(picture),
            "other": picture ^ 1,
            "other_label": other,
            **answer,
        }


def write_agreement(
    path: Path, model: str, resolutions: Sequence[int], seeds: Sequence[int]
) -> None:
    """Maps of a model against each other: the further apart two resolutions are, the less alike."""
    rows = [
        _agreement(method, block, network, low, high, len(seeds))
        for method, block, network in _readings()
        for low in resolutions
        for high in resolutions
        if low < high or (low == high and network == "trained" and len(seeds) > 1)
    ]
    files.write_rows(
        path, [{"family": "custom", "model": model, **row} for row in rows], AGREEMENT
    )


def _readings() -> Iterator[tuple[str, str, str]]:
    for network in ("trained", "untrained"):
        for method, grid in METHODS.items():
            yield from (
                (method, block, network)
                for block in (("rule", "fixed") if grid else ("input",))
            )
    yield from ((baseline, "picture", "none") for baseline in ("random", "edge", "centre"))


def _agreement(
    method: str, block: str, network: str, low: int, high: int, seeds: int
) -> dict[str, Any]:
    ceiling, floor = 0.55, 0.05
    share = {"trained": 0.9 * (low / high) ** 0.5, "untrained": 0.1}.get(
        network, {"edge": 0.8, "random": 0.0}.get(method, 1.0)
    )
    observed = ceiling if low == high else floor + share * (ceiling - floor)
    row = {
        "method": method, "block": block, "network": network, "population": "all", "measure": "spearman", "low": low, "high": high, "side": 8,
        "n": 16, "seed_pairs": seeds * (seeds - 1), "same_seed": None if low == high else observed + 0.02, "floor": floor, "undefined": 0,
    }  # fmt: skip
    if seeds > 1:
        row |= {
            "observed": observed,
            "observed_low": observed - 0.03,
            "observed_high": observed + 0.03,
        }
    if seeds > 1 and network == "trained":
        row |= {"ceiling": ceiling, "interval": "bootstrap over pictures, these networks only"}
        if low < high:
            row |= {
                "normalised": share,
                "normalised_low": share - 0.06,
                "normalised_high": share + 0.06,
            }
    return row
