"""Write the tables of the sweep from its results, and choose a cell."""

from pathlib import Path

from resomap.analysis.tables import write_tables
from resomap.entry.arguments import run_entry_point
from resomap.report.text.choice import describe_choice
from resomap.system.files import write_json
from resomap.workflow.checked_files import read_json
from resomap.workflow.jobs import Aggregate
from resomap.workflow.sweep_results import SweepResults, check_nothing_stale


def main(
    job: Aggregate,
    triggers: str,
    data: Path,
    runs: Path,
    profiles: Path,
    agreement: Path,
    tables: Path,
) -> None:
    """Write results/tables from the runs, profiles and agreements of the sweep.

    `triggers` are the rerun triggers of Snakemake. DataError where they let it keep results of
    another configuration.
    """
    sweep = SweepResults(runs.parent, job)
    check_nothing_stale(sweep, triggers)
    write_sweep_tables(job, sweep, data, runs, profiles, agreement, tables)


def write_sweep_tables(
    job: Aggregate,
    sweep: SweepResults,
    data: Path,
    runs: Path,
    profiles: Path,
    agreement: Path,
    tables: Path,
) -> None:
    """Write the tables and the choice; results that do not belong to `sweep` are left out."""
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
        explain=job.explain,
        sweep=sweep,
    )
    write_json(tables / "choice.json", describe_choice(choice))


if __name__ == "__main__":
    run_entry_point(main)
