"""Copy the runs of the sweep to MLflow."""

from pathlib import Path

from resomap.analysis.answers import cell_runs, sweep_cells
from resomap.entry.arguments import run_entry_point
from resomap.mlflow_copy import copy_runs
from resomap.system.files import write_json
from resomap.workflow.jobs import Track


def main(job: Track, runs: Path, tracked: Path) -> None:
    """Copy every run, however it ended, and write under which id MLflow knows it."""
    folders = [
        found.folder
        for cell in sweep_cells(job.models, job.resolutions)
        for found in cell_runs(cell, job.seeds, runs)
    ]
    experiment = job.mlflow.experiment or job.experiment.name
    ids = copy_runs(folders, job.mlflow.tracking_uri, experiment)
    told = {
        str(folder.relative_to(runs)): run_id
        for folder, run_id in zip(folders, ids, strict=True)
    }
    write_json(
        tracked,
        {"tracking_uri": job.mlflow.tracking_uri, "experiment": experiment, "runs": told},
    )


if __name__ == "__main__":
    run_entry_point(main)
