"""Simulated sweeps of which the truth is known: accuracies, seeds, images and their answers.

An image has a difficulty that all networks share, each cell has images of its own that it finds
hard, and a network is lucky by its seed. Predictions are correct where the sum of these normal
values, and a noise of their own, exceeds a threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell, Predictions

RESOLUTIONS = (24, 32, 48, 64, 96)
MODEL_COSTS = (1.0, 2.2, 4.5)
# Shares of the variance of a prediction: of the image for all cells, and for one of them.
SHARED, OWN = 0.7, 0.1
SEED_SD = 0.007
MARGIN, CONFIDENCE = 0.02, 0.95
CURVES = ("saturating", "dipping", "flat")


@dataclass(frozen=True)
class ImageSet:
    """The difficulties of images for all cells (N,) and for each (K, 1, N)."""

    shared: np.ndarray
    own: np.ndarray


@dataclass
class World:
    """K cells of known accuracy (K,), and the thresholds of their networks (K, seeds)."""

    accuracy: np.ndarray
    thresholds: np.ndarray
    rng: np.random.Generator

    def images(self, count: int) -> ImageSet:
        """Draw images."""
        shape = (len(self.accuracy), 1, count)
        shared = self.rng.standard_normal(count, dtype=np.float32)
        own = self.rng.standard_normal(shape, dtype=np.float32)
        return ImageSet(shared * np.float32(SHARED**0.5), own * np.float32(OWN**0.5))

    def correct(self, images: ImageSet, seeds: slice) -> np.ndarray:
        """Draw the correctness of the networks of some seeds (K, seeds, N)."""
        thresholds = self.thresholds[:, seeds].astype(np.float32)
        shape = (*thresholds.shape, images.shared.size)
        noise = self.rng.standard_normal(shape, dtype=np.float32)
        noise *= np.float32((1 - SHARED - OWN) ** 0.5)
        return np.asarray(noise + images.own + images.shared + thresholds[:, :, None] > 0)


def make_world(
    accuracy: np.ndarray, seed_sd: float | np.ndarray, seeds: int, rng: np.random.Generator
) -> World:
    """Draw the networks of cells; `seed_sd` is that of the accuracy between seeds."""
    quantile = norm.ppf(accuracy)
    # The spread of the threshold that gives this spread of the accuracy, and keeps its mean.
    spread = np.broadcast_to(seed_sd, accuracy.shape) / norm.pdf(quantile)
    centre = quantile * np.sqrt(1 + spread**2)
    luck = rng.standard_normal((len(accuracy), seeds))
    return World(accuracy, centre[:, None] + spread[:, None] * luck, rng)


def draw_accuracies(rng: np.random.Generator) -> np.ndarray:
    """Draw the accuracies of three models at five resolutions (15,).

    Half of the grids are near ties between the models. A curve saturates, saturates with a
    dip, or is flat.
    """
    top = rng.uniform(0.75, 0.95)
    is_tie = rng.random() < 0.5
    offsets = np.abs(rng.normal(0, 0.007, 3)) if is_tie else rng.uniform(0, 0.08, 3)
    curves = [top - offset + _draw_curve(rng) for offset in offsets - offsets.min()]
    return np.clip(np.concatenate(curves), 0.02, 0.995)


def _draw_curve(rng: np.random.Generator) -> np.ndarray:
    """Draw a curve over the resolutions, relative to its top (5,)."""
    kind = CURVES[rng.integers(len(CURVES))]
    if kind == "flat":
        return rng.normal(0, 0.003, len(RESOLUTIONS))
    drop, speed = rng.uniform(0.05, 0.4), rng.uniform(0.15, 1.2)
    curve = -drop * np.exp(-speed * np.arange(len(RESOLUTIONS)))
    if kind == "dipping":
        curve[rng.integers(1, len(RESOLUTIONS))] -= rng.uniform(0.01, 0.05)
    return curve


def just_outside(count: int = 15) -> np.ndarray:
    """Return accuracies of cells that all lose a little more than the margin to the last."""
    accuracy = np.full(count, 0.8 - MARGIN - 1e-4)
    accuracy[-1] = 0.8
    return accuracy


def cell_costs(count: int = 15) -> np.ndarray:
    """Return latencies, ms: by model and pixels for a grid of 15, else rising."""
    if count != len(MODEL_COSTS) * len(RESOLUTIONS):
        return np.arange(1.0, count + 1)
    pixels = (np.array(RESOLUTIONS) / 64) ** 2
    return np.outer(MODEL_COSTS, 0.3 + pixels).ravel()


def make_candidates(
    val: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    latencies: Sequence[Latency] | None = None,
) -> list[Candidate]:
    """Build candidates from correctness on both splits, (seeds, N) for each of the K cells."""
    if latencies is None:
        latencies = [Latency(cost, cost, True) for cost in cell_costs(len(val))]
    candidates = []
    for number, cell in enumerate(grid_cells(len(val))):
        both = [
            Predictions(
                cell,
                tuple(range(len(values))),
                _labels(values),
                {cell.resolution: values},
                values,
            )
            for values in (val[number], test[number])
        ]
        candidates.append(Candidate(*both, latencies[number]))
    return candidates


def grid_cells(count: int = 15) -> list[Cell]:
    """Return the cells of simulated models at every resolution."""
    places = (divmod(number, len(RESOLUTIONS)) for number in range(count))
    return [Cell("simulated", f"model{model}", RESOLUTIONS[place]) for model, place in places]


def _labels(values: np.ndarray) -> np.ndarray:
    """Return labels of ten classes of equal size."""
    return np.arange(values.shape[1]) % 10
