"""Explain one trained network: the maps of every method and four tables that assess them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from resomap.explain.grids import crop_maps
from resomap.explain.intervention import exchange, intervention_rows, partners, usable
from resomap.explain.localisation import localise
from resomap.explain.methods import MapView
from resomap.explain.passes import PassSize
from resomap.explain.sanity import MapFunction, compute_sanity
from resomap.metrics import is_correct, pair_partners
from resomap.workflow.layout import table_columns

LOCALISATION_COLUMNS = table_columns("run_localisation")
FAITHFULNESS_COLUMNS = table_columns("run_faithfulness")
# Seed of the first re-initialised network of the sanity check. A sweep has no such seed, so no
# network of the sweep was trained from the same initial weights.
FIRST_SANITY_SEED = 2**20
BASELINE_LAYER = "picture"  # value of the column `layer` for maps made from the image alone
Row = dict[str, Any]


@dataclass(frozen=True)
class ExplainedImages:
    """The explained test images at one resolution.

    `index` (n,) are their positions in the test split, `pixels` uint8 (n, r, r, 3), `labels`
    (n,), `masks` uint8 (n, H, W) or None, `stickers` the same images with reversed stickers or
    None. `mean` and `std` (3,) normalise pixels scaled to 0..1. `groups` names the group of
    every class, and `pairs` lists pairs of classes; None for none.
    """

    index: np.ndarray
    pixels: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    stickers: np.ndarray | None
    mean: Sequence[float]
    std: Sequence[float]
    groups: Sequence[str] | None
    pairs: Sequence[Sequence[int]] | None

    def normalise(self, pixels: np.ndarray) -> Tensor:
        """Return uint8 pixels (n, r, r, 3) as normalised float32 (n, 3, r, r)."""
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        return (scaled - mean) / std

    def identity_columns(self, position: int) -> Row:
        """Return the columns that identify the image at a position."""
        label = int(self.labels[position])
        return {
            "index": int(self.index[position]),
            "label": label,
            "group": self.groups[label] if self.groups else None,
        }


@dataclass(frozen=True)
class ExplainedNetwork:
    """A trained network on its device.

    Layer methods read the block `rule_layer`, chosen for this resolution, and `fixed_layer`,
    the same at every resolution. `views` has the view of each of them that holds tokens.
    `image_share` is the side of an image over that of the padded image which the layers see.
    `top_modules` names the modules of the last block and the head. `build(seed)` returns the
    same network, untrained, on the same device.
    """

    model: nn.Module
    seed: int
    rule_layer: str
    fixed_layer: str
    top_modules: Sequence[str]
    build: Callable[[int], nn.Module]
    views: Mapping[str, MapView] = field(default_factory=dict)
    image_share: float = 1.0


@dataclass(frozen=True)
class Explanation:
    """The result of one method: signed maps float32 (n, h, w) of the classes `targets` (n,)."""

    method: str
    layer: str
    attributions: np.ndarray
    index: np.ndarray
    targets: np.ndarray
    extra_arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the method's .npz file."""
        return {
            "attribution": self.attributions,
            "index": self.index,
            "target": self.targets,
            "layer": np.array(self.layer),
            **self.extra_arrays,
        }


class ExplainedRun:
    """A trained network together with the images that it is explained on."""

    def __init__(
        self, network: ExplainedNetwork, images: ExplainedImages, config: Explainability
    ) -> None:
        self.network, self.images, self.config = network, images, config
        device = next(network.model.parameters()).device
        self.inputs = images.normalise(images.pixels).to(device)
        self.passes = PassSize(self.inputs.shape[-1], device)
        self.targets = self._choose_targets(self.inputs, images.labels, config.target)

    def _choose_targets(
        self, inputs: Tensor, labels: np.ndarray, target: Target
    ) -> ExplainedTargets:
        def choose(batch_size: int) -> ExplainedTargets:
            return choose_targets(
                self.network.model,
                inputs,
                labels,
                target=target,
                pairs=self.images.pairs,
                batch_size=batch_size,
            )

        return self.passes.run(choose)

    def _predict(self, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the logits (n, C) of other uint8 images (n, r, r, 3)."""
        return self._choose_targets(self.images.normalise(pixels), labels, "label").logits

    def compute_maps(
        self, model: nn.Module, *, method: str, layer: str, count: int | None = None
    ) -> np.ndarray:
        """Return the maps of the first `count` images by a method, reading the named block.

        `model` is any network of the same architecture.
        """
        weights = self.targets.weights[:count]

        def compute(batch_size: int) -> np.ndarray:
            settings = AttributionSettings(
                model.get_submodule(layer),
                self.config.ig_steps,
                self.config.smoothgrad_samples,
                batch_size,
                self.network.views.get(layer),
            )
            return attribute(method, model, self.inputs[:count], weights, settings)

        maps = self.passes.run(compute)
        if METHODS[method].reads == "layer" and self.network.image_share < 1:
            maps = crop_maps(maps, self.network.image_share)
        return maps

    def explain(self) -> Iterator[Explanation]:
        """Yield the explanation of every configured method."""
        untrained = self.network.build(self.network.seed)
        for method in self.config.methods:
            yield self._explain(method, untrained)

    def _explain(self, method: str, untrained: nn.Module) -> Explanation:
        network = self.network
        maps = self.compute_maps(network.model, method=method, layer=network.rule_layer)
        layer, extra = "input", {}
        if METHODS[method].reads == "layer":
            layer, extra = network.rule_layer, self._fixed_block_arrays(method, maps)
        extra["untrained"] = self._untrained_maps(method, untrained, maps)
        # The only method whose maps are required to add up to the change of the score.
        if method == "integrated_gradients":
            extra["completeness_error"] = self.passes.run(
                partial(
                    completeness_errors, network.model, self.inputs, self.targets.weights, maps
                )
            )
        return Explanation(method, layer, maps, self.images.index, self.targets.targets, extra)

    def _fixed_block_arrays(self, method: str, maps: np.ndarray) -> dict[str, np.ndarray]:
        """Return the maps at the block that is the same at every resolution, and its name."""
        network = self.network
        fixed = maps
        if network.fixed_layer != network.rule_layer:
            fixed = self.compute_maps(network.model, method=method, layer=network.fixed_layer)
        return {"fixed_attribution": fixed, "fixed_layer": np.array(network.fixed_layer)}

    def _untrained_maps(
        self, method: str, untrained: nn.Module, maps: np.ndarray
    ) -> np.ndarray:
        count = self.config.sanity.images
        if not count:
            return maps[:0]
        layer = self.network.fixed_layer
        return self.compute_maps(untrained, method=method, layer=layer, count=count)

    def localisation_rows(self, explanations: Iterable[Explanation]) -> list[Row]:
        """Return one row of LOCALISATION_COLUMNS per map, those of the baselines last.

        Without masks the measures are missing.
        """
        rows = []
        for explanation in [*explanations, *map(self._explain_by_baseline, BASELINES)]:
            rows += self._localise(explanation)
        return rows

    def _explain_by_baseline(self, name: str) -> Explanation:
        maps = baseline_maps(name, self.images.pixels, self.images.index)
        return Explanation(name, BASELINE_LAYER, maps, self.images.index, self.targets.targets)

    def _localise(self, explanation: Explanation) -> list[Row]:
        images, maps = self.images, explanation.attributions
        method = {"method": explanation.method, "target": self.config.target}
        method |= {"layer": explanation.layer, "grid": maps.shape[-1]}
        measures = {}
        if "completeness_error" in explanation.extra_arrays:
            measures["completeness_error"] = explanation.extra_arrays["completeness_error"]
        if images.masks is not None:
            measures |= localise(maps, images.masks, self.config.pointing_tolerance)
        rows = []
        correct = is_correct(self.targets.logits, images.labels, images.pairs)
        for position, right in enumerate(correct.tolist()):
            values = {name: column[position].item() for name, column in measures.items()}
            identity = images.identity_columns(position)
            rows.append({**method, **identity, "right": int(right), **values})
        return rows

    def faithfulness_rows(self, explanations: Iterable[Explanation]) -> list[Row]:
        """Return one row of FAITHFULNESS_COLUMNS per order, bandwidth and image."""
        config = self.config.faithfulness
        count = min(config.images, len(self.inputs))
        if not count:
            return []
        maps = {each.method: each.attributions[:count] for each in explanations}
        areas = self.passes.run(
            partial(
                perturb,
                self.network.model,
                self.inputs[:count],
                self.targets.first(count),
                maps,
                config.bandwidths,
            )
        )
        rows = []
        for area in areas:
            order = {"method": area.method, "bandwidth": area.bandwidth}
            curves = zip(area.deletion.tolist(), area.insertion.tolist(), strict=True)
            for position, (deletion, insertion) in enumerate(curves):
                identity = self.images.identity_columns(position)
                rows.append({**order, **identity, "deletion": deletion, "insertion": insertion})
        return rows

    def sanity_rows(self, explanations: Iterable[Explanation]) -> list[Row]:
        """Return rows of SANITY_COLUMNS for every method and the edge baseline.

        The edge baseline ignores the weights, so it is a negative control.
        """
        config, images, network = self.config.sanity, self.images, self.network
        count = config.images
        if not count:
            return []
        edges = baseline_maps("edge", images.pixels[:count], images.index[:count])
        trained = {each.method: each.attributions[:count] for each in explanations}
        map_functions: dict[str, MapFunction] = {
            method: partial(
                self.compute_maps, method=method, layer=network.rule_layer, count=count
            )
            for method in self.config.methods
        }
        return compute_sanity(
            network.model,
            map_functions | {"edge": lambda _model: edges},
            trained | {"edge": edges},
            lambda draw: network.build(FIRST_SANITY_SEED + draw),
            network.top_modules,
            config.draws,
        )

    def intervention_rows(self) -> list[Row]:
        """Return rows of INTERVENTION_COLUMNS: exchanged objects and reversed stickers."""
        if not self.config.interventions:
            return []
        return [*self._exchange_rows(), *self._sticker_rows()]

    def _exchange_rows(self) -> list[Row]:
        images = self.images
        if images.masks is None:
            return []
        kept = np.flatnonzero(usable(images.masks, images.labels))
        if not len(kept):
            return []
        labels, index = images.labels[kept], images.index[kept]
        partner = partners(labels, images.pairs)
        changed = exchange(images.pixels[kept], images.masks[kept], partner)
        logits = (self.targets.logits[kept], self._predict(changed, labels))
        return intervention_rows(
            "exchange", index, index[partner], labels, labels[partner], images.groups, logits
        )

    def _sticker_rows(self) -> list[Row]:
        images = self.images
        if images.stickers is None:
            return []
        index, labels = images.index, images.labels
        logits = (self.targets.logits, self._predict(images.stickers, labels))
        others = pair_partners(images.pairs, logits[0].shape[1])[labels]
        return intervention_rows("sticker", index, index, labels, others, images.groups, logits)


def empty_explanations(config: Explainability) -> list[Explanation]:
    """Return the explanations, without images, of a run that has no network to explain."""
    maps, none = np.zeros((0, 1, 1), np.float32), np.zeros(0, np.int64)
    return [Explanation(method, "", maps, none, none) for method in config.methods]


def stratified_indices(labels: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of `count` images, stratified by class, in ascending order.

    Takes the first image of every class, then the second of every class, and so on. The result
    depends on the labels (N,) alone, so every model, resolution and seed explains the same
    images, and a smaller sample is contained in a larger one. Exhausted classes are skipped;
    with fewer than `count` images all are taken.
    """
    by_class = np.argsort(labels, kind="stable")
    classes = labels[by_class]
    # The position of each image within its class: searchsorted finds where the class begins.
    turn = np.arange(len(labels)) - np.searchsorted(classes, classes)
    return np.sort(by_class[np.lexsort((classes, turn))[:count]])
