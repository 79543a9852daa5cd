"""Copy the runs of the sweep to MLflow."""

from pathlib import Path

from resomap.analysis.predictions import RunFolders, sweep_cells, sweep_runs
from resomap.entry.arguments import run_entry_point
from resomap.mlflow_copy import copy_runs
from resomap.system.files import write_json
from resomap.workflow.jobs import Track
from resomap.workflow.sweep_results import SweepResults, check_nothing_stale


def main(job: Track, triggers: str, runs: Path, tracked: Path) -> None:
    """Copy every run, however it ended, and write the id that MLflow gave to it."""
    check_nothing_stale(SweepResults(runs.parent, job), triggers)
    cells = sweep_cells(job.models, job.resolutions)
    folders = [run.folder for run in sweep_runs(cells, job.seeds, RunFolders(runs))]
    uri = job.mlflow.tracking_uri
    experiment = job.mlflow.experiment or job.experiment.title
    ids = copy_runs(folders, uri, experiment)
    names = [str(folder.relative_to(runs)) for folder in folders]
    run_ids = dict(zip(names, ids, strict=True))
    write_json(tracked, {"tracking_uri": uri, "experiment": experiment, "runs": run_ids})


if __name__ == "__main__":
    run_entry_point(main)
