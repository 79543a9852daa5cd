"""Write the table and the figure of other preprocessings of all exported cells."""

from pathlib import Path

from resomap.analysis.findings.preprocessing import faithful_preprocessing
from resomap.analysis.preprocessing_table import join_parts
from resomap.entry.arguments import run_entry_point
from resomap.report.figures.draw import draw_parity
from resomap.report.text.preprocessing import preprocessing_sentence
from resomap.workflow.jobs import TabulatePreprocessing


def main(
    job: TabulatePreprocessing, parts: tuple[Path, ...], table: Path, figures: Path
) -> None:
    """Write the rows of all `parts`, and draw them; the log has a sentence about them."""
    rows = join_parts(parts, table)
    draw_parity(rows, figures, job.confidence)
    print(preprocessing_sentence(faithful_preprocessing(rows), job.confidence))


if __name__ == "__main__":
    run_entry_point(main)
