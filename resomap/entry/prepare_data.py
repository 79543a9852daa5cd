"""Draw or decode every image once, at native resolution."""

from pathlib import Path

from resomap.config.data import PrepareOptions
from resomap.data.store.prepare import prepare_store
from resomap.entry.arguments import run_entry_point
from resomap.system.locks import hold_lock
from resomap.workflow.jobs import PrepareData


def main(job: PrepareData, manifest: Path, options: PrepareOptions, threads: int) -> None:
    """Write the native store beside `manifest`, which is written last; resume a killed attempt."""
    # An orphan of a killed Snakemake may still be preparing the same store.
    with hold_lock(manifest.parent / ".lock", str(manifest.parent)):
        prepare_store(
            job.data,
            manifest.parent,
            code=job.code,
            download=options.download,
            resolutions=options.resolutions,
            workers=threads,
        )


if __name__ == "__main__":
    run_entry_point(main)
