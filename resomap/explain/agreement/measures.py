"""Measures of how alike two maps of an image are: rank correlation, top-k overlap, distance.

Maps are signed (n, h, w), both on the same grid (see `grids.reduce_maps`), and compared image
by image in float64. The value is NaN, never 0 or 1, where a map has no measure: a constant map
has no order, and a map without positive cells has no mass to move.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Literal

import numpy as np

Kind = Literal["correlation", "distance"]
TOP_SHARE = 1 / 8  # of the cells: about the area of an object (.127 in the reef dataset)
MIN_MASS = 1e-15  # of the relevance that is worth moving; less is rounding


@dataclass(frozen=True)
class Measure:
    """A measure in two steps: a map that is compared with many others is prepared once.

    `prepare` transforms maps (n, h, w); `compare` takes two results and returns values (n,).
    More similar maps have a larger correlation or a smaller distance. `max_side` bounds the
    cells a side.
    """

    prepare: Callable[[np.ndarray], np.ndarray]
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray]
    kind: Kind
    max_side: int | None = None


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the signed rank correlation over the cells (n,), in [-1, 1] (Spearman 1904).

    Tied cells have their average rank. NaN where a map is constant.
    """
    return correlation(ranks(a), ranks(b))


def top_k(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the overlap of the top k cells, an eighth of all, corrected for chance (n,).

    With o the share of the k cells that both maps have in common, the value is
    (o - k / cells) / (1 - k / cells): 1 for equal sets, about 0 for independent maps. NaN where
    a map is constant.
    """
    return correlation(top_cells(a), top_cells(b))


def emd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the earth mover's distance of the positive parts, each of sum 1 (n,).

    Exact (network simplex of Bonneel et al. 2011, by POT), with Euclidean distances between the
    centres of cells, in image widths. NaN where a map has no positive cell. A pair takes a
    quarter of a millisecond at 12 x 12 cells and six milliseconds at 24 x 24.
    """
    return transport_cost(positive_mass(a), positive_mass(b))


def ranks(maps: np.ndarray) -> np.ndarray:
    """Return the standardised ranks of the cells (n, cells), as `correlation` takes them."""
    from scipy.stats import rankdata  # takes 0.7 s to import

    return _standardise(rankdata(maps.reshape(len(maps), -1), axis=1))


def top_cells(maps: np.ndarray) -> np.ndarray:
    """Return the standardised top-k membership of the cells (n, cells), for `correlation`."""
    cells = maps.reshape(len(maps), -1)
    k = max(1, round(cells.shape[1] * TOP_SHARE))
    last = np.partition(cells, -k, axis=1)[:, -k, None]
    # Cells that tie for the last places share them. The correlation of such memberships equals
    # the chance-corrected overlap where there are no ties, and two maps that are zero but for
    # one cell do not agree because of their zeros.
    above, tied = cells > last, cells == last
    share_of_tied = (k - above.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)
    return _standardise(above + share_of_tied * tied)


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the correlations (n,) of the results of `ranks` or `top_cells`."""
    products: np.ndarray = np.einsum("nc,nc->n", a, b)
    return products


def positive_mass(maps: np.ndarray) -> np.ndarray:
    """Return each cell's share of the positive relevance (n, h, w); NaN where there is none."""
    positive = np.maximum(maps.astype(np.float64), 0)
    total = positive.sum(axis=(1, 2), keepdims=True)
    return positive / np.where(total > 0, total, np.nan)


def transport_cost(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the earth mover's distances (n,) of the results of `positive_mass`."""
    transport, distances = _import_transport(), _cell_distances(*a.shape[1:])
    # Mass that both maps have in a cell stays there: by the triangle inequality moving it never
    # helps. Moving only the surplus halves the work.
    surplus = (a - b).reshape(len(a), -1)
    values = np.where(np.isnan(surplus).any(axis=1), np.nan, 0)
    for image, cells in enumerate(surplus):
        give, take = cells > MIN_MASS, cells < -MIN_MASS
        if give.any() and take.any():
            costs = distances[give][:, take]
            values[image] = transport.emd2(
                cells[give], -cells[take], costs, center_dual=False, check_marginals=False
            )
    return values


MEASURES = {
    "spearman": Measure(ranks, correlation, "correlation"),
    "top_k": Measure(top_cells, correlation, "correlation"),
    "emd": Measure(positive_mass, transport_cost, "distance", max_side=12),
}


def _standardise(scores: np.ndarray) -> np.ndarray:
    """Scale scores (n, cells) to mean 0 and norm 1; NaN where all are equal.

    The inner product of two results is their correlation.
    """
    centred = scores - scores.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return centred / np.where(np.ptp(scores, axis=1, keepdims=True) > 0, norm, np.nan)


@lru_cache
def _cell_distances(height: int, width: int) -> np.ndarray:
    """Return the distances (cells, cells) between the centres of cells, in image widths."""
    rows, columns = ((np.arange(length) + 0.5) / length for length in (height, width))
    centres = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    distances: np.ndarray = np.linalg.norm(centres[:, None] - centres, axis=-1)
    return distances


def _import_transport() -> ModuleType:
    """Import POT without its optional array libraries."""
    # POT imports every array library that it finds; torch alone takes two seconds.
    for backend in ("PYTORCH", "JAX", "CUPY", "TENSORFLOW"):
        os.environ.setdefault(f"POT_BACKEND_DISABLE_{backend}", "1")
    with warnings.catch_warnings():
        # Its docstrings have invalid escapes, which Python reports when it compiles them.
        warnings.simplefilter("ignore")
        import ot
    return ot
