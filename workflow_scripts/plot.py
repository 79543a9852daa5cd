"""Draw every figure from the tables."""

from pathlib import Path

from resomap.entry.arguments import run
from resomap.files import read_json
from resomap.jobs import Plot
from resomap.report.gallery import draw_figures
from resomap.report.inputs import read_tables
from resomap.report.panels import Pictures


def main(job: Plot, tables: Path, data: Path, runs: Path, figures: Path) -> None:
    """Write results/figures: each picture and its data."""
    pictures = Pictures(read_json(data / "manifest.json"), data)
    draw_figures(read_tables(tables), pictures, runs, figures, explain=job.explain, confidence=job.confidence)


if __name__ == "__main__":
    run(main)
