"""Write the table of the exported networks."""

from pathlib import Path

from resomap.analysis.deploy_tables import deploy_rows
from resomap.entry.arguments import run_entry_point
from resomap.system.files import write_rows
from resomap.workflow.jobs import CompareExports
from resomap.workflow.layout import table_columns


def main(job: CompareExports, records: tuple[Path, ...], table: Path) -> None:
    """Write a row per exported cell and precision from the `records` of their runs."""
    rows = deploy_rows(records, job.report.margin, job.report.confidence)
    write_rows(table, list(rows), table_columns("deploy"))


if __name__ == "__main__":
    run_entry_point(main)
