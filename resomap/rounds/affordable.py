"""The cells that rounds may train: those whose measured cost keeps the budgets."""

from pathlib import Path

import numpy as np

from resomap.analysis.decision.budgets import cost_reasons
from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.inputs import read_sweep
from resomap.analysis.decision.ways import ways_to_run
from resomap.analysis.predictions import Cell, Predictions, model_files
from resomap.analysis.profiles import read_records
from resomap.config.schema import Config
from resomap.rounds.policy import TrainingGrid


def affordable_grid(
    config: Config, seeds: tuple[int, ...], results: Path
) -> tuple[TrainingGrid, dict[Cell, str]]:
    """Return what rounds may train, and why the other cells exceed a budget on costs.

    A cell counts as it is trained, in its cheapest way of running it.
    """
    manifest, cells, _, runs = read_sweep(results, config)
    profiles = model_files(cells, results / "profiles", ".json", "profile", runs.sweep)
    ways = ways_to_run(read_records(profiles, "cells"))
    networks = [
        Candidate(
            _untrained(cell),
            _untrained(cell),
            latency=way.latency,
            variant=way.variant,
            costs=way.costs,
            energy_rounds=way.energy_rounds,
        )
        for cell in cells
        for way in ways.get(cell, ())
    ]
    reasons = cost_reasons(networks, config.report)
    kept = {one.cell for one, reason in zip(networks, reasons, strict=True) if reason is None}
    dropped = {
        one.cell: reason
        for one, reason in zip(networks, reasons, strict=True)
        if reason is not None and one.cell not in kept
    }
    trained = tuple(cell for cell in cells if cell not in dropped)
    return TrainingGrid(trained, seeds, config.report, tuple(manifest["classes"])), dropped


def _untrained(cell: Cell) -> Predictions:
    """Return the predictions of a network that does not exist yet."""
    return Predictions(cell, (), np.zeros(0, int), {}, np.zeros((0, 0)))
