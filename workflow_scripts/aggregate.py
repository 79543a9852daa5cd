"""Write the tables of the sweep from its results, and choose a cell."""

from pathlib import Path

from resomap.analysis.tables import write_tables
from resomap.entry.arguments import run_entry_point
from resomap.report.text.choice import describe_choice
from resomap.system.files import read_json, write_json
from resomap.workflow.jobs import Aggregate


def main(
    job: Aggregate, data: Path, runs: Path, profiles: Path, agreement: Path, tables: Path
) -> None:
    """Write results/tables from the runs, profiles and agreements that exist."""
    choice = write_tables(
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
    write_json(tables / "choice.json", describe_choice(choice))


if __name__ == "__main__":
    run_entry_point(main)
