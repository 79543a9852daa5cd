"""The explain stage of one run: the same pictures as everywhere, every method, and each map against its mask."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resomap.explain.attribution import METHODS, attribute
from resomap.explain.localisation import localise
from resomap.explain.sample import stratified
from resomap.sections import Explainability

LOCALISATION_COLUMNS = (
    *("method", "target", "layer", "grid", "index", "label", "group"),
    *("relevance_mass", "relevance_rank", "pointing_game", "mask_area", "zero_map"),
)
BATCH_PIXELS = 2**17  # of a forward pass: larger ones are up to twice as slow on a CPU


@dataclass(frozen=True)
class Pictures:
    """The test split at one resolution: uint8 images (N, r, r, 3), labels (N,), uint8 masks (N, H, W) or None, and what its manifest says.

    `mean` and `std` normalise (3 each, on 0..1); `groups` names the group of every class; `pairs` lists pairs of classes; None for none.
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    mean: Sequence[float]
    std: Sequence[float]
    groups: Sequence[str] | None
    pairs: Sequence[Sequence[int]] | None


@dataclass(frozen=True)
class Explanation:
    """One method's answer: signed attributions float32 (n, h, w), the index of each picture in the split and the explained class (n,)."""

    method: str
    target: str
    layer: str
    attributions: np.ndarray
    index: np.ndarray
    targets: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """What the method's .npz stores."""
        return {"attribution": self.attributions, "index": self.index, "target": self.targets, "layer": np.array(self.layer)}


def explain_run(model: nn.Module, pictures: Pictures, explainability: Explainability, layer: str) -> list[Explanation]:
    """Explain the stratified pictures by every method on the model's device; `layer` names the block that Grad-CAM reads."""
    index = stratified(pictures.labels, explainability.pictures)
    images = _normalise(pictures.images[index], pictures.mean, pictures.std)
    explanations = []
    for method in explainability.methods:
        attributions, targets = attribute(
            method,
            model,
            images,
            pictures.labels[index],
            target=explainability.target,
            pairs=pictures.pairs,
            layer=model.get_submodule(layer),
            ig_steps=explainability.ig_steps,
            batch_size=max(1, BATCH_PIXELS // images.shape[-1] ** 2),
        )
        read = layer if METHODS[method].reads == "layer" else "input"
        explanations.append(Explanation(method, explainability.target, read, attributions, index, targets))
    return explanations


def unexplained(explainability: Explainability) -> list[Explanation]:
    """The explanations, of no pictures, of a run that has no network to explain."""
    maps, none = np.zeros((0, 1, 1), np.float32), np.zeros(0, np.int64)
    return [Explanation(method, explainability.target, "", maps, none, none) for method in explainability.methods]


def localisation_rows(explanation: Explanation, pictures: Pictures) -> list[dict[str, Any]]:
    """One row of LOCALISATION_COLUMNS a picture; without masks the measures are missing.

    `grid` is the side of the map in cells; `group` is missing where classes have none.
    """
    index = explanation.index
    constant = {"method": explanation.method, "target": explanation.target, "layer": explanation.layer}
    columns = {"index": index, "label": pictures.labels[index]}
    if pictures.groups is not None:
        columns["group"] = np.array(pictures.groups)[columns["label"]]
    if pictures.masks is not None:
        columns |= localise(explanation.attributions, pictures.masks[index])
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [{**constant, "grid": explanation.attributions.shape[-1], **dict(zip(columns, row, strict=True))} for row in rows]


def _normalise(images: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 (n, r, r, 3) to float32 (n, 3, r, r), in units of the training pictures' spread about their mean colour."""
    scaled = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return (scaled - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
