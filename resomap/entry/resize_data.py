"""One resize of every picture, read by every job of that resolution."""

from pathlib import Path

from resomap.data.resize import resize_store
from resomap.entry.arguments import run
from resomap.jobs import ResizeData


def main(job: ResizeData, data: Path) -> None:
    """Write `r{resolution}/{split}.npy` beside the manifest `data`."""
    resize_store(data.parent, job.resolution, job.data.filter)


if __name__ == "__main__":
    run(main)
