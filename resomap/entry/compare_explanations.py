"""Hold the maps of one network against each other, across resolutions and seeds."""

from collections.abc import Iterator
from pathlib import Path

from resomap.data.store.store import Store, open_store
from resomap.entry.arguments import run_entry_point
from resomap.explain.agreement.compare import AGREEMENT_COLUMNS, ModelMaps, compare_maps
from resomap.explain.agreement.read import correct_everywhere, iter_baselines, read_maps
from resomap.system.files import write_rows
from resomap.workflow.jobs import CompareExplanations


def main(job: CompareExplanations, data: Path, runs: Path, agreement: Path) -> None:
    """Write one row of `agreement` a method, block, population, measure and two resolutions, of what runs there are in `runs`."""
    store = open_store(data)
    models = [runs / model.family / model.name for model in job.models]
    right = correct_everywhere(models, job.resolutions, job.seeds, store.pairs)
    named = {"family": job.architecture.family, "model": job.architecture.name}
    rows = [
        {**named, **row}
        for evidence in _evidence(
            job, store, runs / job.architecture.family / job.architecture.name
        )
        for row in compare_maps(evidence, store.labels("test"), right)
    ]
    write_rows(agreement, rows, AGREEMENT_COLUMNS)


def _evidence(job: CompareExplanations, store: Store, model: Path) -> Iterator[ModelMaps]:
    """The maps of every method, and those of the baselines on the pictures that it explains."""
    index = None
    for method in job.methods:
        for evidence in read_maps(model, method, job.resolutions, job.seeds):
            index = evidence.index if index is None else index
            yield evidence
    if index is not None:
        yield from iter_baselines(
            {
                resolution: store.images("test", resolution)[index]
                for resolution in job.resolutions
            },
            index,
        )


if __name__ == "__main__":
    run_entry_point(main)
