"""The neighbours of a chosen candidate, and why each of them was not chosen."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from resomap.analysis.decision.candidates import Candidate
from resomap.analysis.decision.comparison import Comparison, Ranking

NeighbourRecord = dict[str, Any]


def neighbour_records(
    ranking: Ranking,
    comparisons: Sequence[Comparison],
    choice: int,
    excluded: Sequence[NeighbourRecord],
) -> list[NeighbourRecord]:
    """Return a record per neighbour of the candidate at `choice`, with `why` it was not chosen.

    Neighbours are the same model at the next smaller and the next larger size, other models and
    other networks at the same size, and the best candidate. `comparisons` are those with the
    best, and `excluded` the records of the candidates beyond a budget. `why` is `excluded` (with
    `reason`), `worse` (shown), `open` (it costs less, and may lose more than the margin),
    `dearer`, or `no gain` (its cost is not shown to differ). `difference` is that to the choice
    on validation images, and `confounds` names what their runs differ in.
    """
    chosen = ranking.candidates[choice]
    worse = {id(one.candidate) for one in comparisons if one.verdict == "worse"}
    near = set(_near(ranking.candidates, chosen)) | {ranking.best}
    records = []
    for cell in sorted(near - {choice}):
        is_worse = id(ranking.candidates[cell]) in worse
        records.append(_compare(ranking, cell, choice, is_worse=is_worse))
    beyond = _excluded_neighbours(excluded, ranking.candidates, chosen)
    return records + [{**one, "why": "excluded"} for one in beyond]


def _near(candidates: Sequence[Candidate], chosen: Candidate) -> Iterator[int]:
    """Yield the positions of the neighbours."""
    sizes = sorted({one.tested_at for one in candidates if _same_model(one, chosen)})
    place = sizes.index(chosen.tested_at)
    steps = {*sizes[max(place - 1, 0) : place], *sizes[place + 1 : place + 2]}
    for cell, one in enumerate(candidates):
        if one.tested_at == chosen.tested_at or (
            _same_model(one, chosen) and one.tested_at in steps
        ):
            yield cell


def _same_model(first: Candidate, second: Candidate) -> bool:
    return first.cell[:2] == second.cell[:2]


def _compare(ranking: Ranking, cell: int, choice: int, *, is_worse: bool) -> NeighbourRecord:
    """Return why a candidate was not chosen."""
    candidate, chosen = ranking.candidates[cell], ranking.candidates[choice]
    is_known = candidate.latency is not None and chosen.latency is not None
    return {
        **candidate.identity,
        "why": _why(ranking, cell, choice, is_worse=is_worse),
        "difference": asdict(ranking.val.interval(cell, choice, ranking.confidence)),
        "times_latency": candidate.cost / chosen.cost if is_known else None,
        "at_most": float(ranking.certificate.shown_within[cell]),
        "confounds": ranking.confounds.between(cell, choice),
    }


def _why(ranking: Ranking, cell: int, choice: int, *, is_worse: bool) -> str:
    if is_worse:
        return "worse"
    if ranking.cheaper[cell, choice]:
        return "open"
    return "dearer" if ranking.cheaper[choice, cell] else "no gain"


def _excluded_neighbours(
    excluded: Sequence[NeighbourRecord], candidates: Sequence[Candidate], chosen: Candidate
) -> Iterator[NeighbourRecord]:
    """Yield the excluded candidates beside the chosen one: its model, or its size."""
    model, px = chosen.cell.model, chosen.tested_at
    sizes = sorted({one["eval_resolution"] for one in excluded if one["model"] == model})
    steps = [
        *[size for size in sizes if size < px][-1:],
        *[size for size in sizes if size > px][:1],
    ]
    # A network that is excluded in one variant may be allowed in another.
    allowed = {(*one.cell, one.mode, one.tested_at) for one in candidates}
    for one in excluded:
        names = ("family", "model", "resolution", "mode", "eval_resolution")
        is_step = one["model"] == model and one["eval_resolution"] in steps
        is_near = is_step or one["eval_resolution"] == px
        if is_near and tuple(one[name] for name in names) not in allowed:
            yield one
