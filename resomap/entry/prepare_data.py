"""Draw or read every picture once, at native resolution."""

from pathlib import Path

from resomap.data.prepare import prepare
from resomap.entry.arguments import run
from resomap.jobs import PrepareData


def main(job: PrepareData, manifest: Path) -> None:
    """Write the native store beside `manifest`, which comes last."""
    prepare(job.data, manifest.parent)


if __name__ == "__main__":
    run(main)
