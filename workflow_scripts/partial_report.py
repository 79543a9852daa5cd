"""Write tables, figures and the report of the results that exist; no job is started or waited for."""

from pathlib import Path

from resomap.entry.arguments import run_entry_point
from resomap.system.files import write_text
from resomap.workflow.jobs import PartialReport
from resomap.workflow.sweep_results import SweepResults
from workflow_scripts import aggregate, plot, report

NO_RESULTS = "Nothing to report yet: the images are not prepared."


def main(job: PartialReport, results: Path, partial: Path) -> None:
    """Write the partial report of the folder `results`, and print its path and first sentence."""
    data, runs = results / "data" / "manifest.json", results / "runs"
    page, headline = partial / "index.html", partial / "headline.txt"
    if data.exists():
        tables, figures = partial / "tables", partial / "figures"
        sweep = SweepResults(results, job)
        agreement = results / "agreement"
        aggregate.write_sweep_tables(
            job, sweep, data, runs, results / "profiles", agreement, tables
        )
        plot.main(job, tables, data.parent, runs, figures)
        report.main(job, data, tables, figures, page, headline)
    else:
        write_text(page, f"<!doctype html><title>ResoMap</title><p>{NO_RESULTS}</p>\n")
        write_text(headline, f"{NO_RESULTS}\n")
    first_sentence = headline.read_text(encoding="utf-8").strip()
    print(f"Partial report: {page.resolve()}\n{first_sentence}")


if __name__ == "__main__":
    run_entry_point(main)
