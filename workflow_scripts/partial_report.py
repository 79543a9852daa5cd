"""Tables, figures and the report of whatever a sweep has finished so far; it waits for nothing and triggers nothing."""

from pathlib import Path

from resomap.entry.arguments import run_entry_point
from resomap.system.files import write_text
from resomap.workflow.jobs import PartialReport
from workflow_scripts import aggregate, plot, report

NOTHING = "Nothing to report yet: the pictures are not prepared."


def main(job: PartialReport, results: Path, partial: Path) -> None:
    """Write `partial` from what lies in `results`, and say where the page is."""
    data, runs, page = (
        results / "data" / "manifest.json",
        results / "runs",
        partial / "index.html",
    )
    if not data.exists():
        write_text(page, f"<!doctype html><title>ResoMap</title><p>{NOTHING}</p>\n")
        write_text(partial / "headline.txt", f"{NOTHING}\n")
    else:
        tables, figures = partial / "tables", partial / "figures"
        aggregate.main(job, data, runs, results / "profiles", results / "agreement", tables)
        plot.main(job, tables, data.parent, runs, figures)
        report.main(job, data, tables, figures, page, partial / "headline.txt")
    print(
        f"Report of what there is: {page.resolve()}\n{(partial / 'headline.txt').read_text(encoding='utf-8').strip()}"
    )


if __name__ == "__main__":
    run_entry_point(main)
