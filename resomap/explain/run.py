"""The explain stage of one run: the same pictures as everywhere, every method, and what each map is worth."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from resomap.config.schema import Explainability
from resomap.explain.attribution import (
    METHODS,
    AttributionSettings,
    ExplainedTargets,
    Target,
    attribute,
    choose_targets,
    completeness_errors,
)
from resomap.explain.baselines import BASELINES, baseline_maps
from resomap.explain.faithfulness import perturb
from resomap.explain.intervention import exchange, intervention_rows, partners, usable
from resomap.explain.localisation import localise
from resomap.explain.sanity import compute_sanity
from resomap.metrics import is_correct, pair_partners
from resomap.workflow.layout import table_columns

LOCALISATION_COLUMNS = table_columns("run_localisation")
FAITHFULNESS_COLUMNS = table_columns("run_faithfulness")
BATCH_PIXELS = 2**17  # of a forward pass: larger ones are up to twice as slow on a CPU
FIRST_DRAW = (
    2**20
)  # seed of the first network that is drawn anew: no seed of a sweep's, whose network would have started from it
PICTURE = "picture"
Row = dict[str, Any]


@dataclass(frozen=True)
class ExplainedImages:
    """The explained test pictures at one resolution: places in the split (n,), uint8 images (n, r, r, 3), labels (n,), and what is known.

    `masks` are uint8 (n, H, W); `stickers` the same images with their stickers reversed; None where there are none. `mean` and `std`
    normalise (3 each, on 0..1); `groups` names the group of every class and `pairs` lists pairs of classes, None for none.
    """

    index: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    stickers: np.ndarray | None
    mean: Sequence[float]
    std: Sequence[float]
    groups: Sequence[str] | None
    pairs: Sequence[Sequence[int]] | None

    def normalised(self, images: np.ndarray) -> Tensor:
        """uint8 (n, r, r, 3) to float32 (n, 3, r, r), in units of the training pictures' spread about their mean colour."""
        scaled = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        return (scaled - torch.tensor(self.mean).view(3, 1, 1)) / torch.tensor(self.std).view(
            3, 1, 1
        )

    def named(self, place: int) -> Row:
        """The columns that name a picture."""
        label = int(self.labels[place])
        return {
            "index": int(self.index[place]),
            "label": label,
            "group": self.groups[label] if self.groups else None,
        }


@dataclass(frozen=True)
class ExplainedNetwork:
    """A trained network on its device. Layer methods read the block `rule` (the layer rule at this resolution) and `fixed` (one at all).

    `fresh(seed)` builds the same network untrained, on the same device; `top` names the modules of its last block and head.
    """

    model: nn.Module
    seed: int
    rule: str
    fixed: str
    top: Sequence[str]
    fresh: Callable[[int], nn.Module]


@dataclass(frozen=True)
class Explanation:
    """One method's answer: signed attributions float32 (n, h, w), the explained classes (n,), and further arrays by the name they are stored by."""

    method: str
    layer: str
    attributions: np.ndarray
    index: np.ndarray
    targets: np.ndarray
    further: dict[str, np.ndarray] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """What the method's .npz stores."""
        return {
            "attribution": self.attributions,
            "index": self.index,
            "target": self.targets,
            "layer": np.array(self.layer),
            **self.further,
        }


class ExplainedRun:
    """A network before the pictures that it is asked about."""

    def __init__(
        self, network: ExplainedNetwork, pictures: ExplainedImages, asked: Explainability
    ) -> None:
        self.network, self.pictures, self.asked = network, pictures, asked
        self.images = pictures.normalised(pictures.images)
        self.batch_size = max(1, BATCH_PIXELS // self.images.shape[-1] ** 2)
        self.explained = self._choose(self.images, pictures.labels, asked.target)

    def _choose(self, images: Tensor, labels: np.ndarray, target: Target) -> ExplainedTargets:
        return choose_targets(
            self.network.model,
            images,
            labels,
            target=target,
            pairs=self.pictures.pairs,
            batch_size=self.batch_size,
        )

    def logits(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What the network says (n, C) of other uint8 images (n, r, r, 3)."""
        return self._choose(self.pictures.normalised(images), labels, "label").logits

    def maps(
        self, method: str, model: nn.Module, layer: str, count: int | None = None
    ) -> np.ndarray:
        """The maps of the first `count` pictures by a method, of any network of this architecture, read at the named block."""
        asked, weights = self.asked, self.explained.weights
        settings = AttributionSettings(
            model.get_submodule(layer),
            asked.ig_steps,
            asked.smoothgrad_samples,
            self.batch_size,
        )
        return attribute(method, model, self.images[:count], weights[:count], settings)

    def explain(self) -> Iterator[Explanation]:
        """Every method's answer."""
        untrained = self.network.fresh(self.network.seed)
        for method in self.asked.methods:
            layer = self.network.rule if METHODS[method].reads == "layer" else "input"
            maps = self.maps(method, self.network.model, self.network.rule)
            further = {
                **(self._at_fixed_block(method, maps) if layer != "input" else {}),
                "untrained": self._untrained(method, untrained, maps),
                **(
                    {"completeness_error": self._completeness(maps)}
                    if method == "integrated_gradients"
                    else {}
                ),
            }
            yield Explanation(
                method, layer, maps, self.pictures.index, self.explained.targets, further
            )

    def _at_fixed_block(self, method: str, maps: np.ndarray) -> dict[str, np.ndarray]:
        network = self.network
        same = network.fixed == network.rule
        fixed = maps if same else self.maps(method, network.model, network.fixed)
        return {"fixed_attribution": fixed, "fixed_layer": np.array(network.fixed)}

    def _untrained(self, method: str, untrained: nn.Module, maps: np.ndarray) -> np.ndarray:
        count = self.asked.sanity.images
        return self.maps(method, untrained, self.network.fixed, count) if count else maps[:0]

    def _completeness(self, maps: np.ndarray) -> np.ndarray:
        return completeness_errors(
            self.network.model, self.images, self.explained.weights, maps, self.batch_size
        )

    def localisation_rows(self, explanations: Iterable[Explanation]) -> list[Row]:
        """One row of LOCALISATION a map, those of the baselines last; without masks the measures are missing."""
        pictures = self.pictures
        images, index = pictures.images, pictures.index
        known = [
            Explanation(
                name, PICTURE, baseline_maps(name, images, index), index, self.explained.targets
            )
            for name in BASELINES
        ]
        return [row for one in [*explanations, *known] for row in self._localised(one)]

    def _localised(self, explanation: Explanation) -> Iterator[Row]:
        right = is_correct(self.explained.logits, self.pictures.labels, self.pictures.pairs)
        grid = explanation.attributions.shape[-1]
        constant = {
            "method": explanation.method,
            "target": self.asked.target,
            "layer": explanation.layer,
            "grid": grid,
        }
        measured = {
            name: explanation.further[name]
            for name in ("completeness_error",)
            if name in explanation.further
        }
        if self.pictures.masks is not None:
            measured |= localise(
                explanation.attributions, self.pictures.masks, self.asked.pointing_tolerance
            )
        for place, answer in enumerate(right.tolist()):
            values = {name: column[place].item() for name, column in measured.items()}
            yield {**constant, **self.pictures.named(place), "right": int(answer), **values}

    def faithfulness_rows(self, explanations: Iterable[Explanation]) -> list[Row]:
        """One row of FAITHFULNESS an order of areas, bandwidth and picture."""
        count = min(self.asked.faithfulness.images, len(self.images))
        maps = {one.method: one.attributions[:count] for one in explanations}
        if not count:
            return []
        explained = ExplainedTargets(
            *(values[:count] for values in vars(self.explained).values())
        )
        bandwidths = self.asked.faithfulness.bandwidths
        areas = perturb(
            self.network.model,
            self.images[:count],
            explained,
            maps,
            bandwidths,
            self.batch_size,
        )
        return [
            {
                "method": one.method,
                "bandwidth": one.bandwidth,
                **self.pictures.named(place),
                "deletion": one.deletion[place].item(),
                "insertion": one.insertion[place].item(),
            }
            for one in areas
            for place in range(count)
        ]

    def sanity_rows(self, explanations: Iterable[Explanation]) -> list[Row]:
        """Rows of sanity.COLUMNS: every method, and the edge filter, which ignores the weights."""
        asked, pictures, network = self.asked.sanity, self.pictures, self.network
        if not asked.images:
            return []
        edges = baseline_maps(
            "edge", pictures.images[: asked.images], pictures.index[: asked.images]
        )
        trained = {one.method: one.attributions[: asked.images] for one in explanations} | {
            "edge": edges
        }
        explainers: dict[str, Callable[[nn.Module], np.ndarray]] = {
            method: lambda model, method=method: self.maps(
                method, model, network.rule, asked.images
            )  # type: ignore[misc]
            for method in self.asked.methods
        }
        explainers["edge"] = lambda _: edges
        return compute_sanity(
            network.model,
            explainers,
            trained,
            lambda draw: network.fresh(FIRST_DRAW + draw),
            network.top,
            asked.draws,
        )

    def intervention_rows(self) -> list[Row]:
        """Rows of intervention.COLUMNS: objects on the rest of other pictures, and reversed stickers."""
        if not self.asked.interventions:
            return []
        return [*self._exchanged(), *self._reversed()]

    def _exchanged(self) -> list[Row]:
        pictures = self.pictures
        kept = (
            np.flatnonzero(usable(pictures.masks, pictures.labels))
            if pictures.masks is not None
            else np.zeros(0, np.int64)
        )
        if not len(kept):
            return []
        assert pictures.masks is not None
        labels, index = pictures.labels[kept], pictures.index[kept]
        partner = partners(labels, pictures.pairs)
        changed = exchange(pictures.images[kept], pictures.masks[kept], partner)
        logits = (self.explained.logits[kept], self.logits(changed, labels))
        return intervention_rows(
            "exchange", index, index[partner], labels, labels[partner], pictures.groups, logits
        )

    def _reversed(self) -> list[Row]:
        pictures = self.pictures
        if pictures.stickers is None:
            return []
        logits = (self.explained.logits, self.logits(pictures.stickers, pictures.labels))
        others = pair_partners(pictures.pairs, logits[0].shape[1])[pictures.labels]
        return intervention_rows(
            "sticker",
            pictures.index,
            pictures.index,
            pictures.labels,
            others,
            pictures.groups,
            logits,
        )


def empty_explanations(asked: Explainability) -> list[Explanation]:
    """The explanations, of no pictures, of a run that has no network to explain."""
    maps, none = np.zeros((0, 1, 1), np.float32), np.zeros(0, np.int64)
    return [Explanation(method, "", maps, none, none) for method in asked.methods]


def stratified_indices(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` pictures, in index order: the first of every class, then the second of every class, and so on.

    They depend on the labels (N,) alone, so every model, resolution and seed explains the same pictures, and a smaller count is contained
    in a larger one. A class that runs out leaves its turns to the others; fewer than `count` pictures are all taken.
    """
    by_class = np.argsort(labels, kind="stable")
    classes = labels[by_class]
    turn = np.arange(len(labels)) - np.searchsorted(classes, classes)
    return np.sort(by_class[np.lexsort((classes, turn))[:count]])
