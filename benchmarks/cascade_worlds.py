"""Cascades of simulated networks, whose confidence is the chance of being right."""

from typing import NamedTuple

import numpy as np

from resomap.analysis.per_image.answers import Answers, CellAnswers
from resomap.analysis.per_image.cascade_tables import CLAIMS, TOLERANCE_SHARE
from resomap.analysis.per_image.cascades import fit_cascade

MARGIN, CONFIDENCE = 0.02, 0.95


def simulate_answers(
    skills: list[float],
    val: int,
    test: int,
    *,
    seeds: int = 2,
    rng: np.random.Generator,
    easy: float = 0.5,
) -> list[CellAnswers]:
    """Return the answers of one cell per skill on images of mixed demand.

    A share `easy` of the images is right with a margin at every skill; the others need a skill
    of about 3. Confidence is the probability of being right, with a little noise of the run.
    """
    hard = rng.random(val + test) >= easy
    difficulty = np.where(hard, 3.0, -3.0) + rng.normal(0, 0.7, val + test)
    cells = []
    for skill in skills:
        lead = skill - difficulty + rng.normal(0, 0.3, (seeds, val + test))
        confidence = 1 / (1 + np.exp(-1.5 * lead))
        correct = rng.random(lead.shape) < confidence
        confidence = np.clip(confidence + rng.normal(0, 0.03, lead.shape), 0, 1)
        splits = [
            Answers(confidence[:, rows], correct[:, rows])
            for rows in (slice(0, val), slice(val, None))
        ]
        cells.append(CellAnswers(tuple(range(seeds)), *splits))
    return cells


class World(NamedTuple):
    """Networks of these skills, and the images and seeds of their sweep."""

    skills: tuple[float, ...]
    seeds: int
    val: int
    test: int = 2000

    @property
    def costs(self) -> list[float]:
        """Return the costs of the stages: four times that of the one before."""
        return [4.0**stage for stage in range(len(self.skills))]


WORLDS = (
    World((1.0, 5.0), 1, 100),
    World((1.0, 5.0), 2, 400),
    World((2.0, 3.5), 1, 100),
    World((2.0, 3.5), 3, 2000),
    World((0.0, 3.0, 6.0), 1, 100),
    World((0.0, 3.0, 6.0), 1, 400),
    World((0.0, 3.0, 6.0), 2, 400),
    World((4.0, 7.0), 2, 400),
)
"""Pairs and triples, few and many images; the last world has hardly any error."""


class Prediction(NamedTuple):
    """How a prediction did on test images."""

    accuracy_holds: bool
    cost_holds: bool
    accuracy_missed: float
    """Accuracy on test images minus the predicted one."""
    cost_missed: float
    """The same of the cost, as a share of that of the last stage."""


def predict_fresh_split(world: World, number: int) -> Prediction:
    """Draw images of a world, set thresholds on some and compare with the others."""
    rng = np.random.default_rng([number, len(world.skills), world.seeds, world.val])
    stages = simulate_answers(
        [*world.skills], world.val, world.test, seeds=world.seeds, rng=rng
    )
    cascade = fit_cascade(stages, world.costs, TOLERANCE_SHARE * MARGIN)
    outcome = cascade.run("test")
    accuracy, cost = cascade.predict(world.test, 1 - (1 - CONFIDENCE) / CLAIMS)
    reached = outcome.correct.mean(), outcome.costs(world.costs).mean()
    return Prediction(
        bool(accuracy.low <= reached[0] <= accuracy.high),
        bool(cost.low <= reached[1] <= cost.high),
        float(reached[0] - accuracy.mean),
        float(reached[1] - cost.mean) / world.costs[-1],
    )
