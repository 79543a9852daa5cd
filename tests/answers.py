"""Answers of simulated networks, whose confidence is as true as asked for."""

import numpy as np

from resomap.analysis.per_image.answers import Answers, CellAnswers


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
