"""Draw every figure from the tables."""

from pathlib import Path

from resomap.analysis.tables import read_tables
from resomap.entry.arguments import run_entry_point
from resomap.report.figures.draw import draw_figures
from resomap.report.figures.panels import StoredImages
from resomap.workflow.checked_files import read_json
from resomap.workflow.jobs import Plot
from resomap.workflow.receipts import check_receipt


def main(job: Plot, tables: Path, data: Path, runs: Path, figures: Path) -> None:
    """Write results/figures: each figure as SVG, PNG and the CSV of its numbers."""
    check_receipt("tables", tables.parent, job.tables)
    draw_figures(
        read_tables(tables),
        StoredImages(read_json(data / "manifest.json"), data),
        runs,
        figures,
        explain=job.explain,
        confidence=job.confidence,
    )


if __name__ == "__main__":
    run_entry_point(main)
