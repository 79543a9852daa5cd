"""Faithfulness: deletion and insertion curves along the order of a map's relevance.

Deletion and insertion follow Petsiuk et al. (2018), with a blurred fill as in Kapishnikov et
al. (2019): a grey fill creates edges that a network may respond to. All maps are averaged to
common bandwidths, so that a fine grid is neither an advantage nor a handicap.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from resomap.explain.attribution import ExplainedTargets, frozen
from resomap.explain.grids import blur_weights, overlap, reduce_maps

# Fractions of the area at which the score is evaluated. The mean areas differ by .01 (rms) from
# those of 28 fractions, at a ninth of the cost.
FRACTIONS = (0.0, 0.1, 0.3, 0.75, 1.0)


class CurveAreas(NamedTuple):
    """Areas under the deletion and insertion curves of one order, float64 (n,) in [0, 1].

    The order comes from maps of `bandwidth` x `bandwidth` cells.
    """

    method: str
    bandwidth: int
    deletion: np.ndarray
    insertion: np.ndarray


def perturb(
    model: nn.Module,
    images: Tensor,
    targets: ExplainedTargets,
    maps: Mapping[str, np.ndarray],
    bandwidths: Sequence[int],
    batch_size: int,
) -> list[CurveAreas]:
    """Compute deletion and insertion of normalised float32 images (n, 3, r, r), n > 0.

    Each entry of `maps` holds the signed maps (n, h, w) of a method. The score is the
    probability of the explained class, against its rival alone where there is one. A faithful
    map has a small deletion area and a large insertion area. The orders `random` and `centre`
    (from the middle outwards) are added as references. Bandwidths finer than a method's map are
    skipped for that method. `batch_size` bounds the images in a forward pass.
    """
    scorer = _PerturbationScorer(model, images, targets, batch_size)
    areas = []
    with frozen(model), torch.no_grad():
        ends = scorer.end_scores()
        for bandwidth in bandwidths:
            for method, ranks in _orders(maps, bandwidth, len(images)):
                deletion, insertion = _areas(scorer, ranks, ends)
                if method == "random":
                    # Deletion along an order is insertion along its reverse, so over random
                    # orders both areas have the same expectation: average them.
                    deletion = insertion = (deletion + insertion) / 2
                areas.append(CurveAreas(method, bandwidth, deletion, insertion))
    return areas


def rank_cells(maps: np.ndarray, bandwidth: int, tie_breakers: np.ndarray) -> np.ndarray:
    """Rank the cells of signed maps (n, h, w), 0 for the most relevant.

    Returns int64 (n, bandwidth, bandwidth). Cells of equal relevance are ordered by falling
    `tie_breakers` (n, bandwidth ** 2), so a constant map gives a random order.
    """
    relevance = reduce_maps(maps, bandwidth).reshape(tie_breakers.shape)
    order = np.lexsort((-tie_breakers, -relevance))
    return np.argsort(order).reshape(-1, bandwidth, bandwidth)


def cover(ranks: np.ndarray, fraction: float) -> np.ndarray:
    """Return how much of each cell of `ranks` (n, b, b) is in the first `fraction` of the area.

    The last cell is covered in part, so the mean coverage is exactly `fraction`.
    """
    covered: np.ndarray = np.clip(fraction * ranks[0].size - ranks, 0, 1)
    return covered


def _orders(
    maps: Mapping[str, np.ndarray], bandwidth: int, count: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the ranks of every method whose maps have at least `bandwidth` cells a side."""
    fitting = {
        method: values for method, values in maps.items() if bandwidth <= min(values.shape[1:])
    }
    if not fitting:
        return
    # Seeded by the bandwidth alone, so every model, resolution and seed of a sweep breaks ties
    # in the same way.
    tie_breakers = np.random.default_rng(bandwidth).random((count, bandwidth**2))
    offset = (np.arange(bandwidth) + 0.5) / bandwidth - 0.5
    shape = (count, bandwidth, bandwidth)
    references = {
        "random": tie_breakers.reshape(shape),
        "centre": np.broadcast_to(-np.hypot(offset[:, None], offset), shape),
    }
    for method, values in (fitting | references).items():
        yield method, rank_cells(values, bandwidth, tie_breakers)


def _areas(
    scorer: "_PerturbationScorer", ranks: np.ndarray, ends: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate the deletion and insertion curves (n,) between the scores of `ends`."""
    sharp, blurred = ends
    inner = np.stack([scorer.scores(cover(ranks, fraction)) for fraction in FRACTIONS[1:-1]])
    deletion = np.trapezoid([sharp, *inner[:, 0], blurred], FRACTIONS, axis=0)
    insertion = np.trapezoid([blurred, *inner[:, 1], sharp], FRACTIONS, axis=0)
    return deletion, insertion


class _PerturbationScorer:
    """Scores of mixtures of sharp and blurred images."""

    def __init__(
        self, model: nn.Module, images: Tensor, targets: ExplainedTargets, batch_size: int
    ) -> None:
        self._model, self._batch_size = model, batch_size
        self._device = next(model.parameters()).device
        # Mixtures are made where the network is: copying each of them would take longer than
        # its pass on a GPU.
        images = images.to(self._device)
        self._logits = torch.from_numpy(targets.logits)
        self._targets = torch.from_numpy(targets.targets)
        self._rivals = torch.from_numpy(targets.rivals)
        weights = self._to_device(blur_weights(images.shape[-1]))
        self._sharp = self._split(images)
        self._blurred = self._split(weights @ images @ weights.T)

    def _to_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float().to(self._device)

    def _split(self, images: Tensor) -> tuple[Tensor, ...]:
        return images.to(memory_format=torch.channels_last).split(self._batch_size)

    def end_scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores (n,) of the sharp images and of the fully blurred ones."""
        blurred = torch.cat([self._predict(batch) for batch in self._blurred])
        return self._probability(self._logits), self._probability(blurred)

    def scores(self, covered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return scores (n,) with the area (n, b, b) blurred, and with only that area sharp."""
        pixels = overlap(covered.shape[-1], self._sharp[0].shape[-1])
        rows = self._to_device(pixels)
        mask = (rows @ self._to_device(covered) @ rows.T)[:, None]
        masks = mask.split(self._batch_size)
        deleted, inserted = [], []
        for sharp, blurred, part in zip(self._sharp, self._blurred, masks, strict=True):
            deleted.append(self._predict(torch.lerp(sharp, blurred, part)))
            inserted.append(self._predict(torch.lerp(blurred, sharp, part)))
        return self._probability(torch.cat(deleted)), self._probability(torch.cat(inserted))

    def _predict(self, images: Tensor) -> Tensor:
        logits: Tensor = self._model(images)
        return logits

    def _probability(self, logits: Tensor) -> np.ndarray:
        """Return the probability of the target (n,), against its rival or among all classes."""
        logits = logits.cpu().double()
        target = logits.gather(1, self._targets[:, None])[:, 0]
        # -1 marks "no rival" and is no valid index.
        rival = logits.gather(1, self._rivals.clamp(min=0)[:, None])[:, 0]
        among_all = (target - logits.logsumexp(dim=1)).exp()
        return torch.where(self._rivals < 0, among_all, torch.sigmoid(target - rival)).numpy()
