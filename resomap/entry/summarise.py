"""Summarise every network of the sweep layer by layer."""

from itertools import product
from pathlib import Path

from resomap.data.store.store import open_store
from resomap.entry.arguments import run_entry_point
from resomap.models.registry import build_at_sides
from resomap.profiling.summary import summarise
from resomap.system.files import write_json, write_text
from resomap.workflow.jobs import Summarise


def main(job: Summarise, data: Path, summaries: tuple[Path, ...]) -> None:
    """Write the summary of each network at each resolution, as a table and beside it as JSON.

    `summaries` are the files of the tables: each network in turn, at each resolution.
    """
    num_classes = open_store(data).num_classes
    models = {
        model.name: build_at_sides(model, num_classes, job.resolutions) for model in job.models
    }
    cells = product(models, job.resolutions)
    for path, (name, resolution) in zip(summaries, cells, strict=True):
        text, record = summarise(models[name][resolution], resolution)
        write_text(path, text)
        write_json(path.with_suffix(".json"), {"model": name, **record})


if __name__ == "__main__":
    run_entry_point(main)
