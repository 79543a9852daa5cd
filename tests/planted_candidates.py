"""Candidates of every kind, drawn at random: a sweep for tests of the decision, without files."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell, Predictions

CLASSES = tuple(f"class{number}" for number in range(10))
ALARMS = ("silent", "silent", "fires", None)


@dataclass(frozen=True)
class PlantedSweep:
    """Networks whose accuracy rises with the size, their seeds, and the ways to run them."""

    models: int = 2
    sizes: tuple[int, ...] = (16, 32, 64)
    seeds: tuple[int, ...] = (0, 1, 2)
    skill: float = 0.9
    val: int = 300
    test: int = 500
    rng: int = 0

    def draw(self) -> list[Candidate]:
        """Draw all candidates: as trained and at another size, in two variants."""
        random = np.random.default_rng(self.rng)
        difficulty = {
            "val": random.normal(size=self.val),
            "test": random.normal(size=self.test),
        }
        candidates: list[Candidate] = []
        for model in range(self.models):
            for place, px in enumerate(self.sizes):
                cell = Cell("custom", f"net{model}", px)
                # One cell has lost a seed, and the runs of another are from another machine.
                lost = int((model, place) == (0, 0) and len(self.seeds) > 1)
                seeds = self.seeds[: len(self.seeds) - lost]
                skill = self.skill + 0.2 * model + 0.35 * place + random.normal(0, 0.08)
                away = self.sizes[place - 1]
                splits = [
                    _predict(cell, away, seeds, skill, each, random)
                    for each in difficulty.values()
                ]
                device = "other" if (model, place) == (1, 1) else "cpu"
                evidence: dict[str, Any] = {
                    "failed_seeds": lost,
                    "alarm": ALARMS[int(random.integers(len(ALARMS)))],
                    "facts": {seed: {"device": device, "steps": 100} for seed in seeds},
                }
                for eval_px in (px, away):
                    focus = float(random.uniform(0.1, 0.6)) if eval_px == px else None
                    for costs in _ways(model, eval_px, random):
                        found = {**evidence, "localisation": focus, **costs}
                        candidates.append(Candidate(*splits, eval_resolution=eval_px, **found))
        return candidates


def _predict(
    cell: Cell,
    away: int,
    seeds: tuple[int, ...],
    skill: float,
    difficulty: np.ndarray,
    random: np.random.Generator,
) -> Predictions:
    """Draw the correctness of the networks of a cell at their size and away from it."""
    shape = (len(seeds), len(difficulty))
    correct = {}
    for px, loss in ((cell.resolution, 0.0), (away, 0.3)):
        luck = random.normal(0, 0.05, (len(seeds), 1))
        correct[px] = difficulty + random.normal(0, 0.7, shape) < skill - loss + luck
    labels = np.arange(len(difficulty)) % len(CLASSES)
    return Predictions(cell, seeds, labels, correct, np.full(shape, np.nan))


def _ways(model: int, px: int, random: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield the costs of the main variant and of a faster one."""
    for variant, factor in ((None, 1.0), ("compiled, bf16", 0.8)):
        size = factor * (1 + 0.5 * model) * (0.3 + (px / 64) ** 2)
        rounds = size * np.exp(random.normal(0, 0.02, 7))
        joules = size * np.exp(random.normal(0, 0.05, 3))
        costs = {
            "peak_memory_mib": 10 * size,
            "model_size_mib": 2.0 + model,
            "macs": 1e6 * size,
            "energy_j_per_image": float(joules.mean()) if random.random() > 0.1 else None,
        }
        yield {
            "variant": variant,
            "latency": Latency(
                size, 1.15 * size, bool(random.random() > 0.1), tuple(rounds.tolist())
            ),
            "costs": costs,
            "energy_rounds": tuple(joules.tolist()),
        }
