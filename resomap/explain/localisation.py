"""Whether the evidence lies on the object: attributions against masks, each on the attribution's own grid.

Values are raw: a map that knows nothing reaches `mask_area` on average, not 0, and a coarse grid cannot reach 1.
"""

import numpy as np


def localise(attributions: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Measure signed attributions (N, h, h) against masks (N, H, W); every value is an array (N,).

    - `relevance_mass`: the share of the positive relevance that falls inside the mask.
    - `relevance_rank`: the share of the K most relevant cells that the mask covers, K the size of the mask in cells (Arras et al. 2022).
    - `pointing_game`: 1 if the one largest cell is at least half covered, no tolerance; a tie is a miss (Zhang et al. 2018).
    - `mask_area`: the share of the picture that the mask covers.
    - `zero_map`: 1 if no cell is positive. Such a map is a miss in all of the above: it scores 0.

    A mask's uint8 values are area coverage times 255; cells it covers in part count in part. A picture whose mask is empty has no
    measure: NaN.
    """
    side = attributions.shape[-1]
    cells = attributions.reshape(-1, side**2).astype(np.float64)
    coverage = area_average(masks, side).reshape(-1, side**2)
    pointed = cells.max(axis=1) > 0
    measures = {
        "relevance_mass": _relevance_mass(cells, coverage),
        "relevance_rank": _relevance_rank(cells, coverage) * pointed,
        "pointing_game": _pointing_game(cells, coverage) * pointed,
        "mask_area": coverage.mean(axis=1),
    }
    empty = ~coverage.any(axis=1)
    if empty.any():
        measures = {name: np.where(empty, np.nan, values) for name, values in measures.items()}
    return {**measures, "zero_map": (~pointed).astype(np.int64)}


def area_average(masks: np.ndarray, side: int) -> np.ndarray:
    """Average uint8 masks (N, H, W) over a grid of side x side cells, exactly, also where the grid does not divide them.

    Returns the coverage of each cell in [0, 1], float64 (N, side, side); its mean is the mask's.
    """
    rows, columns = (_overlap(length, side) for length in masks.shape[1:])
    coverage: np.ndarray = rows @ (masks / 255) @ columns.T
    return coverage


def _overlap(length: int, side: int) -> np.ndarray:
    """Weights (side, length): which share of each cell every pixel of a line fills."""
    edges = np.arange(side + 1) * (length / side)
    pixels = np.arange(length)
    common = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: np.ndarray = np.maximum(common, 0) * (side / length)
    return weights


def _relevance_mass(cells: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    positive = np.maximum(cells, 0)
    total = positive.sum(axis=1)
    share: np.ndarray = (positive * coverage).sum(axis=1) / np.where(total > 0, total, 1)
    return share


def _relevance_rank(cells: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Cells that tie for the last places share them, so that the answer does not hang on the order of the cells."""
    size = np.maximum(np.rint(coverage.sum(axis=1)), 1).astype(np.int64)
    last = np.take_along_axis(np.sort(cells, axis=1), cells.shape[1] - size[:, None], axis=1)
    above, tied = cells > last, cells == last
    places = (size - above.sum(axis=1)) / tied.sum(axis=1)
    share: np.ndarray = ((coverage * above).sum(axis=1) + places * (coverage * tied).sum(axis=1)) / size
    return share


def _pointing_game(cells: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    largest = cells == cells.max(axis=1, keepdims=True)
    inside = np.take_along_axis(coverage, cells.argmax(axis=1)[:, None], axis=1)[:, 0] >= 0.5
    hit: np.ndarray = inside & (largest.sum(axis=1) == 1)
    return hit.astype(np.int64)
