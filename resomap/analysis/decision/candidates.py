"""What may be chosen: networks at every resolution, in every mode, in every way of running them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, get_args

import numpy as np

from resomap.analysis.accuracies import Evaluated, Split
from resomap.analysis.decision.confounds import SeedFacts
from resomap.analysis.decision.latencies import Latency
from resomap.analysis.precision_loss import PrecisionLoss
from resomap.analysis.predictions import Cell, Predictions, common_seeds
from resomap.analysis.statistics import compute_spread, crossed_error, pool_spreads
from resomap.config.deploy import RuntimeName
from resomap.workflow.predictions import INT8, RAW, PredictionMode

RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)


@dataclass(frozen=True)
class Candidate:
    """What may be chosen: a model trained at one resolution and used at another, in a mode.

    `val` and `test` hold its predictions. `eval_resolution` is None for that of training, and
    `mode` says what was adapted for it (`raw`: nothing), or that it is the one quantised to int8,
    and `loss` what that costs in accuracy. `variant` is the way of running it, None
    for the first of the profile. `latency` is None when not measured. `costs` holds other
    measurements of one image by their column of profiles.csv, and `energy_rounds` the energy in
    each round. `failed_seeds` counts the runs that diverged or did not fit in memory. `alarm` is
    the state of the alarm about its evidence, and `localisation` the lower end of the share of
    relevance on the object. `facts` are what may confound a comparison of its runs, by seed.
    `unmeasured` is why it cannot be chosen for want of a cost.
    """

    val: Predictions
    test: Predictions
    latency: Latency | None
    eval_resolution: int | None = None
    mode: PredictionMode = RAW
    variant: str | None = None
    costs: Mapping[str, float | None] = field(default_factory=dict)
    energy_rounds: tuple[float, ...] = ()
    failed_seeds: int = 0
    alarm: str | None = None
    localisation: float | None = None
    facts: SeedFacts = field(default_factory=dict)
    loss: PrecisionLoss | None = None
    unmeasured: str | None = None

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
    """A measured way of running a model at one resolution; `variant` is None for the first.

    `is_int8` is that of the network which was measured, and `runtime` what ran it, if it was not
    PyTorch.
    """

    variant: str | None
    latency: Latency
    costs: Mapping[str, float | None]
    device: str | None = None
    energy_rounds: tuple[float, ...] = ()
    is_int8: bool = False
    runtime: RuntimeName | None = None


class RefusedWay(NamedTuple):
    """A runtime and a precision in which a cell does not answer as it should at a resolution."""

    cell: Cell
    eval_resolution: int
    runtime: RuntimeName | None
    is_int8: bool


@dataclass(frozen=True)
class Deployment:
    """Where costs were measured, and what is known of the exported networks.

    `device` is the name of another device than the one of the profiles. No cell is run in a way
    that is among the `refused`. `losses` are those of the int8 networks.
    """

    device: str | None = None
    refused: Collection[RefusedWay] = ()
    losses: Mapping[tuple[Cell, int], PrecisionLoss] = field(default_factory=dict)


PROFILES = Deployment()
"""Costs are those of the profiles, and nothing is exported."""
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
    val: Split,
    test: Split,
    ways: WaysToRun,
    evidence: Mapping[Cell, CellEvidence],
    deployment: Deployment = PROFILES,
) -> list[Candidate]:
    """List every network as trained, and what validation images rate above it at equal cost.

    A model has one cost at a test resolution, and another in int8. Of all its networks and modes
    that predict there, the one trained for it stays, and the most accurate other one joins when
    it is better by more than its standard error (Breiman et al. 1984: the simpler of two that
    are about as good).
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
            loss=deployment.losses.get((cell, px)) if mode == INT8 else None,
        )
        of_model = ways.get(cell._replace(resolution=px), ())
        candidates += _in_every_way(candidate, of_model, deployment)
    return candidates


def _in_every_way(
    candidate: Candidate, ways: Sequence[WayToRun], deployment: Deployment
) -> Iterator[Candidate]:
    """Yield the candidate in every measured way of running it, or without a cost."""
    is_int8 = candidate.mode == INT8
    # Of two precisions each has its own answers, so neither is run in a way of the other.
    own = [way for way in ways if way.is_int8 == is_int8]
    cell, px = candidate.cell, candidate.tested_at
    usable = [
        way
        for way in own
        if RefusedWay(cell, px, way.runtime, is_int8) not in deployment.refused
    ]
    if not usable:
        yield replace(candidate, unmeasured=_why_unmeasured(candidate, own, deployment.device))
    for way in usable:
        yield replace(
            candidate,
            variant=way.variant,
            latency=way.latency,
            costs=way.costs,
            energy_rounds=way.energy_rounds,
            facts=_with_device(candidate.facts, way.device),
        )


def _why_unmeasured(
    candidate: Candidate, ways: Sequence[WayToRun], device: str | None
) -> str | None:
    """Return why a network without a cost cannot be chosen; None where it can."""
    is_needed = device is not None or candidate.mode == INT8
    if ways and is_needed:
        return "its answers in that runtime are not proven"
    if device is not None:
        return f"not measured on {device}"
    # Without a cost an int8 network has no advantage over itself in fp32.
    return "no cost in int8 was measured" if is_needed else None


def _with_device(facts: SeedFacts, device: str | None) -> SeedFacts:
    """Return the facts with the device that the cost was measured on."""
    return {seed: {**of_run, "latency_device": device} for seed, of_run in facts.items()}


def _contenders(val: Split) -> list[Evaluated]:
    """List the networks as trained, and those that join them, by `list_candidates`."""
    by_cost: dict[tuple[Cell, bool], list[Evaluated]] = {}
    for cell, predictions in val.items():
        for mode, px in predictions.by_mode():
            place = cell._replace(resolution=px)
            by_cost.setdefault((place, mode == INT8), []).append((cell, mode, px))
    contenders, challengers = [], []
    for (place, is_int8), networks in by_cost.items():
        as_trained = (place, INT8 if is_int8 else RAW, place.resolution)
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
