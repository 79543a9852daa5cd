"""Gather every result of the sweep into tidy tables, and choose."""

from pathlib import Path

from resomap.analysis.aggregate import write_tables
from resomap.entry.arguments import run_entry_point
from resomap.system.files import read_json
from resomap.workflow.jobs import Aggregate


def main(
    job: Aggregate, data: Path, runs: Path, profiles: Path, agreement: Path, tables: Path
) -> None:
    """Write results/tables from the runs, profiles and agreements that exist."""
    write_tables(
        read_json(data),
        runs,
        profiles,
        agreement,
        tables,
        models=job.models,
        resolutions=job.resolutions,
        seeds=job.seeds,
        report=job.report,
    )


if __name__ == "__main__":
    run_entry_point(main)
