"""Localisation: attribution maps against object masks, on the grid of the map.

All values are raw: an uninformative map reaches `mask_area` on average, not 0, and a map on a
coarse grid cannot reach 1. Each measure is therefore reported beside its chance level or the
best value that the grid allows.
"""

import numpy as np

from resomap.explain.grids import overlap

HALF_COVERED = 0.5  # of a cell, from which on it counts as part of the object


def localise(
    attributions: np.ndarray, masks: np.ndarray, tolerance: float
) -> dict[str, np.ndarray]:
    """Compare signed attributions (n, h, h) with uint8 masks (n, H, W); each value is (n,).

    - `relevance_mass`: share of the positive relevance inside the mask (Arras et al. 2022).
    - `relevance_mass_best`: mass of a map that is as large as the object: see `_best_mass`.
    - `relevance_rank`: rank accuracy, the share of the K most relevant cells that the mask
      covers, where K is the size of the mask in cells (Arras et al. 2022).
    - `relevance_rank_best`: highest rank accuracy of any map on this grid.
    - `pointing_game`: 1 for a hit (Zhang et al. 2018): the maximum is in a cell that the mask
      covers at least half, or whose centre is within `tolerance` image widths of the object.
      Several equal maxima are a miss.
    - `pointing_chance`: share of cells that would be hits.
    - `mask_area`: share of the image that the mask covers.
    - `zero_map`: 1 if no cell is positive. Mass, rank and pointing of such a map are 0.

    Mask values are the covered share of a pixel times 255, and partly covered cells count in
    part; bounding boxes are valid masks. All measures are NaN where the mask is empty.
    """
    side = attributions.shape[-1]
    cells = attributions.reshape(-1, side**2).astype(np.float64)
    coverage = area_average(masks, side).reshape(-1, side**2)
    # Zhang et al. allow 15 pixels, which would depend on the resolution; `tolerance` is in
    # image widths, so the hit area is the same at every resolution and on every grid.
    near = _object_distances(masks, side).reshape(-1, side**2) <= tolerance
    hits = (coverage >= HALF_COVERED) | near
    has_maximum = cells.max(axis=1) > 0
    measures = {
        "relevance_mass": _relevance_mass(cells, coverage),
        "relevance_mass_best": _best_mass(coverage),
        "relevance_rank": _rank_accuracy(cells, coverage) * has_maximum,
        "relevance_rank_best": _rank_accuracy(coverage, coverage),
        "pointing_game": _pointing_game(cells, hits) * has_maximum,
        "pointing_chance": hits.mean(axis=1),
        "mask_area": coverage.mean(axis=1),
    }
    empty = ~coverage.any(axis=1)
    # Only then, because np.where with NaN turns the integer columns into floats.
    if empty.any():
        measures = {name: np.where(empty, np.nan, values) for name, values in measures.items()}
    return {**measures, "zero_map": (~has_maximum).astype(np.int64)}


def area_average(masks: np.ndarray, side: int) -> np.ndarray:
    """Average uint8 masks (n, H, W) over side x side cells: float64 (n, side, side) in [0, 1].

    Exact also where the grid does not divide the mask or is finer; the mean is preserved.
    """
    height, width = masks.shape[1:]
    coverage: np.ndarray = overlap(height, side) @ (masks / 255) @ overlap(width, side).T
    return coverage


def _object_distances(masks: np.ndarray, side: int) -> np.ndarray:
    """Return the distance of each cell's centre from the object, in image widths.

    Shape (n, side, side). The object is where the mask covers at least half of a pixel.
    Distances are between centres of pixels, 0 for a cell centred on the object, and inf where
    there is no object.
    """
    from scipy.ndimage import distance_transform_edt

    height, width = masks.shape[1:]
    centres = 2 * np.arange(side) + 1
    pixels = np.ix_(centres * height // (2 * side), centres * width // (2 * side))
    distances = np.full((len(masks), side, side), np.inf)
    for distance, mask in zip(distances, masks, strict=True):
        outside = mask < 128
        # Without background pixels of value 0 the transform has no defined result.
        if not outside.all():
            transform = distance_transform_edt(outside, sampling=(1 / height, 1 / width))
            distance[:] = transform[pixels]
    return distances


def _relevance_mass(cells: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    positive = np.maximum(cells, 0)
    total = positive.sum(axis=1)
    share: np.ndarray = (positive * coverage).sum(axis=1) / np.where(total > 0, total, 1)
    return share


def _best_mass(coverage: np.ndarray) -> np.ndarray:
    """Return the mass of a map spread evenly over the most covered cells (n,).

    It uses as many whole cells as hold the object's area. This is the maximum over maps in
    which no cell holds a larger share of the relevance than of the object. It is no bound for
    maps with a narrower peak: a single cell inside the object reaches 1 on almost any grid.
    """
    # Rounded first: the coverage of 16 full cells may add up to slightly more than 16.
    size = np.ceil(np.round(coverage.sum(axis=1), 6)).astype(np.int64)
    descending = -np.sort(-coverage, axis=1)
    cumulative = np.cumsum(descending, axis=1)
    return cumulative[np.arange(len(size)), size - 1] / np.maximum(size, 1)


def _rank_accuracy(cells: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    size = np.maximum(np.rint(coverage.sum(axis=1)), 1).astype(np.int64)
    last = np.take_along_axis(np.sort(cells, axis=1), cells.shape[1] - size[:, None], axis=1)
    # Cells that tie for the last ranks share them, so the result does not depend on the order
    # of the cells.
    above, tied = cells > last, cells == last
    share_of_tied = (size - above.sum(axis=1)) / tied.sum(axis=1)
    covered = (coverage * above).sum(axis=1) + share_of_tied * (coverage * tied).sum(axis=1)
    accuracy: np.ndarray = covered / size
    return accuracy


def _pointing_game(cells: np.ndarray, hits: np.ndarray) -> np.ndarray:
    maxima = cells == cells.max(axis=1, keepdims=True)
    inside = (maxima & hits).any(axis=1)
    hit: np.ndarray = inside & (maxima.sum(axis=1) == 1)
    return hit.astype(np.int64)
