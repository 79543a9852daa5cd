"""What may be chosen: networks at every resolution, in every mode, in every way of running them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from resomap.analysis.accuracies import Evaluated, Split
from resomap.analysis.decision.confounds import SeedFacts
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.predictions import Cell, Predictions, common_seeds
from resomap.analysis.statistics import compute_spread, crossed_error, pool_spreads
from resomap.config.evaluation import EvaluationMode
from resomap.workflow.predictions import RAW


@dataclass(frozen=True)
class Candidate:
    """What may be chosen: a model trained at one resolution and used at another, in a mode.

    `val` and `test` hold its predictions. `eval_resolution` is None for that of training, and
    `mode` says what was adapted for it (`raw`: nothing). `variant` is the way of running it, None
    for the first of the profile. `latency` is None when not measured. `costs` holds other
    measurements of one image by their column of profiles.csv, and `energy_rounds` the energy in
    each round. `failed_seeds` counts the runs that diverged or did not fit in memory. `alarm` is
    the state of the alarm about its evidence, and `localisation` the lower end of the share of
    relevance on the object. `facts` are what may confound a comparison of its runs, by seed.
    """

    val: Predictions
    test: Predictions
    latency: Latency | None
    eval_resolution: int | None = None
    mode: EvaluationMode = RAW
    variant: str | None = None
    costs: Mapping[str, float | None] = field(default_factory=dict)
    energy_rounds: tuple[float, ...] = ()
    failed_seeds: int = 0
    alarm: str | None = None
    localisation: float | None = None
    facts: SeedFacts = field(default_factory=dict)

    @property
    def cell(self) -> Cell:
        """Return the model and the resolution of training."""
        return self.val.cell

    @property
    def tested_at(self) -> int:
        """Return the resolution at which images are predicted, px."""
        return self.eval_resolution or self.cell.resolution

    @property
    def identity(self) -> dict[str, Any]:
        """Return the columns that identify the candidate in a record."""
        return {
            **self.cell._asdict(),
            "eval_resolution": self.tested_at,
            "mode": self.mode,
            "variant": self.variant,
        }

    @property
    def order(self) -> tuple[Any, ...]:
        """Return the sort key of records: by model, then by resolution."""
        return *self.cell, self.tested_at, self.mode, self.variant or ""

    @property
    def evaluated(self) -> Evaluated:
        """Return the cell, how it was adapted, and where it predicts: what gives its accuracy."""
        return self.cell, self.mode, self.tested_at

    @property
    def is_as_trained(self) -> bool:
        """Return whether the network predicts as it was trained, at the same resolution."""
        return self.mode == RAW and self.tested_at == self.cell.resolution

    @property
    def val_correct(self) -> np.ndarray:
        """Return correctness on validation images (seeds, N)."""
        return self.val.by_mode()[self.mode, self.tested_at]

    @property
    def test_correct(self) -> np.ndarray:
        """Return correctness on test images (seeds, N)."""
        return self.test.by_mode()[self.mode, self.tested_at]

    @property
    def val_accuracy(self) -> float:
        """Return the mean over seeds and validation images, in [0, 1]."""
        return float(self.val_correct.mean())

    @property
    def cost(self) -> float:
        """Return the median latency, ms; infinite when not measured."""
        return self.latency.p50 if self.latency else np.inf

    @property
    def rank(self) -> tuple[Any, ...]:
        """Return the sort key: validation accuracy, then the cheaper, the simpler, the smaller."""
        smaller = -self.cell.resolution, self.cell.model, self.mode
        return self.val_accuracy, -self.cost, self.is_as_trained, *smaller

    @property
    def is_disturbed(self) -> bool:
        """Return whether the latency was measured and is marked invalid."""
        return self.latency is not None and not self.latency.valid


@dataclass(frozen=True)
class WayToRun:
    """A measured way of running a model at one resolution; `variant` is None for the first."""

    variant: str | None
    latency: Latency
    costs: Mapping[str, float | None]
    device: str | None = None
    energy_rounds: tuple[float, ...] = ()


WaysToRun = Mapping[Cell, Sequence[WayToRun]]
"""The measured ways by model and *test* resolution, since a network costs what that costs."""


@dataclass(frozen=True)
class CellEvidence:
    """What speaks about a cell beside its accuracy, as in `Candidate`."""

    failed_seeds: int = 0
    alarm: str | None = None
    localisation: float | None = None
    facts: SeedFacts = field(default_factory=dict)


def list_candidates(
    val: Split, test: Split, ways: WaysToRun, evidence: Mapping[Cell, CellEvidence]
) -> list[Candidate]:
    """List every network as trained, and what validation images rate above it at equal cost.

    A model has one cost at a test resolution. Of all its networks and modes that predict there,
    the one trained for it stays, and the most accurate other one joins when it is better by more
    than its standard error (Breiman et al. 1984: the simpler of two that are about as good).
    """
    candidates: list[Candidate] = []
    for cell, mode, px in _contenders(val):
        known = evidence.get(cell, CellEvidence())
        candidate = Candidate(
            val[cell],
            test[cell],
            latency=None,
            eval_resolution=px,
            mode=mode,
            failed_seeds=known.failed_seeds,
            alarm=known.alarm,
            # Explanations are those at the resolution of training, so they locate nothing else.
            localisation=known.localisation if px == cell.resolution else None,
            facts=known.facts,
        )
        candidates += _in_every_way(candidate, ways.get(cell._replace(resolution=px), ()))
    return candidates


def _in_every_way(candidate: Candidate, ways: Sequence[WayToRun]) -> Iterator[Candidate]:
    """Yield the candidate in every measured way of running it, or without a cost."""
    if not ways:
        yield candidate
    for way in ways:
        yield replace(
            candidate,
            variant=way.variant,
            latency=way.latency,
            costs=way.costs,
            energy_rounds=way.energy_rounds,
            facts=_with_device(candidate.facts, way.device),
        )


def _with_device(facts: SeedFacts, device: str | None) -> SeedFacts:
    """Return the facts with the device that the cost was measured on."""
    return {seed: {**of_run, "latency_device": device} for seed, of_run in facts.items()}


def _contenders(val: Split) -> list[Evaluated]:
    """List the networks as trained, and those that join them, by `list_candidates`."""
    by_cost: dict[Cell, list[Evaluated]] = {}
    for cell, predictions in val.items():
        for mode, px in predictions.by_mode():
            by_cost.setdefault(cell._replace(resolution=px), []).append((cell, mode, px))
    contenders, challengers = [], []
    for place, networks in by_cost.items():
        as_trained = (place, RAW, place.resolution)
        others = [one for one in networks if one != as_trained]
        best = max(others, key=lambda one: _promise(val, one), default=None)
        if as_trained in networks:
            contenders.append(as_trained)
            if best:
                challengers.append((best, as_trained))
        # Where no network was trained for a resolution, as one that does not fit in memory.
        elif best:
            contenders.append(best)
    return contenders + _shown_better(val, challengers)


def _correct(split: Split, one: Evaluated) -> np.ndarray:
    cell, mode, px = one
    return split[cell].by_mode()[mode, px]


def _promise(val: Split, one: Evaluated) -> tuple[Any, ...]:
    """Return the sort key of networks of one cost: accuracy, then the smaller of equal ones."""
    cell, mode, _ = one
    return float(_correct(val, one).mean()), mode == RAW, -cell.resolution, mode


def _shown_better(val: Split, pairs: Iterable[tuple[Evaluated, Evaluated]]) -> list[Evaluated]:
    """Return the first of each pair that is above the second by more than its standard error."""
    differences = {}
    for first, second in pairs:
        difference = _paired_difference(val, first, second)
        if difference is not None:
            differences[first] = compute_spread(difference)
    pool = pool_spreads(list(differences.values()))
    better = []
    for first, spread in differences.items():
        error, _ = crossed_error(spread, pool)
        if spread.mean > error:
            better.append(first)
    return better


def _paired_difference(val: Split, first: Evaluated, second: Evaluated) -> np.ndarray | None:
    """Return correctness of the first minus the second (seeds, N), by the seeds of both."""
    common = common_seeds(val[first[0]], val[second[0]])
    if not common:
        return None
    own, other = (
        _correct(val, one)[val[one[0]].rows_of(common)].astype(float) for one in (first, second)
    )
    return own - other


def cheapest_ways(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Keep the fastest way of running each network: all ways give the same predictions."""
    fastest: dict[Evaluated, Candidate] = {}
    for candidate in candidates:
        known = fastest.setdefault(candidate.evaluated, candidate)
        if candidate.cost < known.cost:
            fastest[candidate.evaluated] = candidate
    return list(fastest.values())
