"""Build the report from the tables and figures."""

from pathlib import Path

from resomap.analysis.facts import read_facts
from resomap.analysis.tables import read_tables
from resomap.entry.arguments import run_entry_point
from resomap.report.method import SweepConfig
from resomap.report.page import build_page
from resomap.system.files import write_text
from resomap.workflow.jobs import BuildReport
from resomap.workflow.receipts import check_receipt


def main(
    job: BuildReport, data: Path, tables: Path, figures: Path, report: Path, headline: Path
) -> None:
    """Write the page, and its first sentence for the terminal."""
    check_receipt("tables", tables.parent, job.tables)
    check_receipt("figures", figures.parent, job.figures)
    sweep_tables = read_tables(tables)
    page = build_page(
        sweep_tables,
        read_facts(data.parent),
        figures,
        experiment=job.experiment,
        config=SweepConfig(
            data=job.data,
            models=job.models,
            resolutions=job.resolutions,
            seeds=job.seeds,
            training=job.training,
            evaluation=job.evaluation,
            explainability=job.explainability,
            profiling=job.profiling,
            report=job.report,
        ),
        code=job.code,
    )
    write_text(report, page)
    write_text(headline, sweep_tables.choice["headline"] + "\n")


if __name__ == "__main__":
    run_entry_point(main)
