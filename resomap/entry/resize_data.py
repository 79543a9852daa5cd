"""Resize every image to one resolution."""

from pathlib import Path

from resomap.data.store.resize import resize_store
from resomap.entry.arguments import run_entry_point
from resomap.system.locks import hold_lock
from resomap.workflow.jobs import ResizeData


def main(job: ResizeData, data: Path, threads: int) -> None:
    """Write `r{resolution}/{split}.npy` beside the manifest `data`; resume a killed attempt."""
    folder = data.parent / f"r{job.resolution}"
    with hold_lock(folder / ".lock", str(folder)):
        resize_store(data, job.resolution, job.data.filter, threads)


if __name__ == "__main__":
    run_entry_point(main)
