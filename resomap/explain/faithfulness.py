"""Whether a network uses what a map points at: areas are blurred in the map's order, and restored in it.

Deletion and insertion (Petsiuk et al. 2018) with a blurred fill, as Kapishnikov et al. (2019) have it: a grey one makes edges that a network
may read. Maps are compared at common bandwidths, so that a fine grid is neither an advantage nor a burden.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from resomap.explain.attribution import ExplainedTargets, frozen
from resomap.explain.grids import overlap, reduce_maps, smoother

FRACTIONS = (0.0, 0.1, 0.3, 0.75, 1.0)
"""Shares of the area at which the score is read: mean areas differ by .01 (rms) from those of 28 shares, at a ninth of the cost."""


class Areas(NamedTuple):
    """An order's areas under the curves of deletion and insertion, float64 (n,) in [0, 1], from maps of `bandwidth` x `bandwidth` cells."""

    method: str
    bandwidth: int
    deletion: np.ndarray
    insertion: np.ndarray


def perturb(
    model: nn.Module,
    images: Tensor,
    explained: ExplainedTargets,
    maps: Mapping[str, np.ndarray],
    bandwidths: Sequence[int],
    batch_size: int,
) -> list[Areas]:
    """Blur and restore normalised float32 images (n, 3, r, r), n > 0, in the order of each method's signed maps (n, h, w).

    What is read is the probability of the explained class, against its rival alone where there is one. A faithful map has a small
    deletion and a large insertion. Beside the methods stand the orders `random` and `centre` (from the middle outwards). A bandwidth that is
    finer than a method's map is left out, as a map is never enlarged. `batch_size` bounds the pictures in a forward pass.
    """
    views = _Views(model, images, explained, batch_size)
    with frozen(model), torch.no_grad():
        ends = views.ends()
        return [
            Areas(method, bandwidth, *_areas(views, ranks, ends, symmetric=method == "random"))
            for bandwidth in bandwidths
            for method, ranks in _orders(maps, bandwidth, len(images))
        ]


def rank_cells(maps: np.ndarray, bandwidth: int, draws: np.ndarray) -> np.ndarray:
    """The place of each cell, 0 first, in the order of falling signed relevance of maps (n, h, w): int64 (n, bandwidth, bandwidth).

    Among cells that tie, larger `draws` (n, bandwidth ** 2) come first: so a map that says nothing is a random order.
    """
    order = np.lexsort((-draws, -reduce_maps(maps, bandwidth).reshape(draws.shape)))
    return np.argsort(order).reshape(-1, bandwidth, bandwidth)


def cover(ranks: np.ndarray, fraction: float) -> np.ndarray:
    """How much of each cell of `ranks` (n, b, b) belongs to the first `fraction` of the area: the last cell in part, the mean is exact."""
    covered: np.ndarray = np.clip(fraction * ranks[0].size - ranks, 0, 1)
    return covered


def _orders(
    maps: Mapping[str, np.ndarray], bandwidth: int, count: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The ranks of every order that `bandwidth` is not too fine for; the draws know a picture by its place alone."""
    draws = np.random.default_rng(bandwidth).random((count, bandwidth**2))
    fitting = {
        method: values for method, values in maps.items() if bandwidth <= min(values.shape[1:])
    }
    middle = (np.arange(bandwidth) + 0.5) / bandwidth - 0.5
    nearness = np.broadcast_to(
        -np.hypot(middle[:, None], middle), (count, bandwidth, bandwidth)
    )
    if fitting:
        references = {"random": draws.reshape(nearness.shape), "centre": nearness}
        for method, values in (fitting | references).items():
            yield method, rank_cells(values, bandwidth, draws)


def _areas(
    views: "_Views", ranks: np.ndarray, ends: tuple[np.ndarray, np.ndarray], *, symmetric: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Areas (n,) under the curves from `ends`, the scores of the sharp and the blurred pictures.

    What is deleted in an order is inserted in its reverse, so in a `symmetric` set of orders both have one expectation: their mean.
    """
    sharp, blurred = ends
    inner = np.stack([views.scores(cover(ranks, fraction)) for fraction in FRACTIONS[1:-1]])
    deletion = np.trapezoid([sharp, *inner[:, 0], blurred], FRACTIONS, axis=0)
    insertion = np.trapezoid([blurred, *inner[:, 1], sharp], FRACTIONS, axis=0)
    return ((deletion + insertion) / 2,) * 2 if symmetric else (deletion, insertion)


class _Views:
    """Pictures, the same blurred, and what the network says of mixtures of the two."""

    def __init__(
        self, model: nn.Module, images: Tensor, explained: ExplainedTargets, batch_size: int
    ) -> None:
        self._model, self._explained = model, explained
        self._device = next(model.parameters()).device
        weights = torch.from_numpy(smoother(images.shape[-1])).float()
        self._sharp, self._blurred = (
            view.to(memory_format=torch.channels_last).split(batch_size)
            for view in (images, weights @ images @ weights.T)
        )
        self._batch_size = batch_size

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n,) of the pictures as they are, and of the blurred ones."""
        blurred = torch.cat(
            [self._model(batch.to(self._device)).cpu() for batch in self._blurred]
        )
        return self._probability(torch.from_numpy(self._explained.logits)), self._probability(
            blurred
        )

    def scores(self, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n,) with the covered area (n, b, b) blurred, and with all but that area blurred."""
        rows = torch.from_numpy(overlap(covered.shape[-1], self._sharp[0].shape[-1])).float()
        masks = (rows @ torch.from_numpy(covered).float() @ rows.T)[:, None].split(
            self._batch_size
        )
        deleted, inserted = [], []
        for sharp, blurred, mask in zip(self._sharp, self._blurred, masks, strict=True):
            deleted.append(self._model(torch.lerp(sharp, blurred, mask).to(self._device)).cpu())
            inserted.append(
                self._model(torch.lerp(blurred, sharp, mask).to(self._device)).cpu()
            )
        return self._probability(torch.cat(deleted)), self._probability(torch.cat(inserted))

    def _probability(self, logits: Tensor) -> np.ndarray:
        """Of the explained class among all, or against its rival where there is one: float64 (n,)."""
        logits, targets, rivals = (
            logits.double(),
            *map(torch.from_numpy, (self._explained.targets, self._explained.rivals)),
        )
        chosen, against = (
            logits.gather(1, classes[:, None])[:, 0]
            for classes in (targets, rivals.clamp(min=0))
        )
        alone = (chosen - logits.logsumexp(dim=1)).exp()
        return torch.where(rivals < 0, alone, torch.sigmoid(chosen - against)).numpy()
