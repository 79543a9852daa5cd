"""Whether the evidence lies on the object: attributions against masks, each on the attribution's own grid.

Values are raw: a map that knows nothing reaches `mask_area` on average, not 0, and a coarse grid cannot reach 1, so each measure stands
beside what chance or the grid allows.
"""

import numpy as np

from resomap.explain.grids import overlap


def localise(
    attributions: np.ndarray, masks: np.ndarray, tolerance: float
) -> dict[str, np.ndarray]:
    """Measure signed attributions (n, h, h) against uint8 masks (n, H, W); every value is an array (n,).

    - `relevance_mass`: the share of the positive relevance that falls inside the mask (Arras et al. 2022).
    - `relevance_mass_best`: what a map as large as the object can reach: see `_mass_best`.
    - `relevance_rank`: the share of the K most relevant cells that the mask covers, K the size of the mask in cells (Arras et al. 2022).
    - `relevance_rank_best`: the most that any map of that grid can reach: the mean coverage of the K cells that are covered most.
    - `pointing_game`: 1 if the one largest cell is a hit, at least half covered or its centre within `tolerance` picture widths of the
      object; a tie is a miss (Zhang et al. 2018, whose tolerance is 15 pixels).
    - `pointing_chance`: the share of cells that would be hits.
    - `mask_area`: the share of the picture that the mask covers.
    - `zero_map`: 1 if no cell is positive. Such a map is a miss: its mass, rank and pointing are 0.

    A mask's values are area coverage times 255; cells that it covers in part count in part. Any mask will do, a box too. A picture whose
    mask is empty has no measure: NaN.
    """
    side = attributions.shape[-1]
    cells = attributions.reshape(-1, side**2).astype(np.float64)
    coverage = area_average(masks, side).reshape(-1, side**2)
    hits = (coverage >= 0.5) | (_distances(masks, side).reshape(-1, side**2) <= tolerance)
    pointed = cells.max(axis=1) > 0
    measures = {
        "relevance_mass": _relevance_mass(cells, coverage),
        "relevance_mass_best": _mass_best(coverage),
        "relevance_rank": _relevance_rank(cells, coverage) * pointed,
        "relevance_rank_best": _relevance_rank(coverage, coverage),
        "pointing_game": _pointing_game(cells, hits) * pointed,
        "pointing_chance": hits.mean(axis=1),
        "mask_area": coverage.mean(axis=1),
    }
    empty = ~coverage.any(axis=1)
    if empty.any():
        measures = {name: np.where(empty, np.nan, values) for name, values in measures.items()}
    return {**measures, "zero_map": (~pointed).astype(np.int64)}


def area_average(masks: np.ndarray, side: int) -> np.ndarray:
    """Average uint8 masks (n, H, W) over a grid of side x side cells, exactly, also where the grid does not divide them or is finer.

    Returns the coverage of each cell in [0, 1], float64 (n, side, side); its mean is the mask's.
    """
    rows, columns = (overlap(length, side) for length in masks.shape[1:])
    coverage: np.ndarray = rows @ (masks / 255) @ columns.T
    return coverage


def _distances(masks: np.ndarray, side: int) -> np.ndarray:
    """How far the centre of each cell of a grid is from the object, in picture widths (n, side, side); inf where there is no object.

    The object is what the mask at least half covers; the distance is between centres of the mask's pixels, 0 for a cell centred on it.
    """
    from scipy.ndimage import distance_transform_edt

    height, width = masks.shape[1:]
    rows, columns = (
        ((2 * np.arange(side) + 1) * length // (2 * side)) for length in (height, width)
    )
    distances = np.full((len(masks), side, side), np.inf)
    for distance, mask in zip(distances, masks, strict=True):
        outside = mask < 128
        if not outside.all():
            distance[:] = distance_transform_edt(outside, sampling=(1 / height, 1 / width))[
                np.ix_(rows, columns)
            ]
    return distances


def _relevance_mass(cells: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    positive = np.maximum(cells, 0)
    total = positive.sum(axis=1)
    share: np.ndarray = (positive * coverage).sum(axis=1) / np.where(total > 0, total, 1)
    return share


def _mass_best(coverage: np.ndarray) -> np.ndarray:
    """The mass of a map that is spread evenly over the cells that the mask covers most, as many whole ones as hold its area.

    A single cell inside the object reaches 1 on almost any grid, so that is no bound for a map of the whole object; this is the one of all
    maps in which no cell holds a larger share of the relevance than it could of the object. A map that is peaked inside it can exceed it.
    """
    size = np.ceil(np.round(coverage.sum(axis=1), 6)).astype(
        np.int64
    )  # 16 cells may add up to a little more than 16
    falling = -np.sort(-coverage, axis=1)
    return np.cumsum(falling, axis=1)[np.arange(len(size)), size - 1] / np.maximum(size, 1)


def _relevance_rank(cells: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Cells that tie for the last places share them, so that the answer does not hang on the order of the cells."""
    size = np.maximum(np.rint(coverage.sum(axis=1)), 1).astype(np.int64)
    last = np.take_along_axis(np.sort(cells, axis=1), cells.shape[1] - size[:, None], axis=1)
    above, tied = cells > last, cells == last
    places = (size - above.sum(axis=1)) / tied.sum(axis=1)
    share: np.ndarray = (
        (coverage * above).sum(axis=1) + places * (coverage * tied).sum(axis=1)
    ) / size
    return share


def _pointing_game(cells: np.ndarray, hits: np.ndarray) -> np.ndarray:
    largest = cells == cells.max(axis=1, keepdims=True)
    inside = (largest & hits).any(axis=1)
    hit: np.ndarray = inside & (largest.sum(axis=1) == 1)
    return hit.astype(np.int64)
