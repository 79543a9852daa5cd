"""Compare the maps of one model across resolutions and seeds."""

from collections.abc import Iterator
from pathlib import Path

from resomap.data.store.store import Store, open_store
from resomap.entry.arguments import run_entry_point
from resomap.explain.agreement.compare import AGREEMENT_COLUMNS, ModelMaps, compare_maps
from resomap.explain.agreement.read import correct_everywhere, iter_baselines, read_maps
from resomap.system.files import write_rows
from resomap.workflow.jobs import CompareExplanations


def main(job: CompareExplanations, data: Path, runs: Path, agreement: Path) -> None:
    """Write `agreement`: one row per method, block, population, measure and two resolutions.

    Only runs that exist in `runs` are compared.
    """
    store = open_store(data)
    models = [runs / model.family / model.name for model in job.models]
    correct = correct_everywhere(models, job.resolutions, job.seeds, store.pairs)
    model = {"family": job.architecture.family, "model": job.architecture.name}
    folder = runs / job.architecture.family / job.architecture.name
    rows = []
    for maps in _iter_maps(job, store, folder):
        rows += [{**model, **row} for row in compare_maps(maps, store.labels("test"), correct)]
    write_rows(agreement, rows, AGREEMENT_COLUMNS)


def _iter_maps(job: CompareExplanations, store: Store, folder: Path) -> Iterator[ModelMaps]:
    """Yield the maps of every method, then those of the baselines on the same images."""
    index = None
    for method in job.methods:
        for maps in read_maps(folder, method, job.resolutions, job.seeds):
            index = maps.index if index is None else index
            yield maps
    if index is not None:
        images = {side: store.images("test", side)[index] for side in job.resolutions}
        yield from iter_baselines(images, index)


if __name__ == "__main__":
    run_entry_point(main)
