"""Copies of finished runs in MLflow: parameters, history, scores, environment.

Nothing depends on the copies. Each carries two tags: the folder of the run, set when the copy is
created, and a digest of its content, set when it is complete. A copy with the current digest is
kept; any other copy of that folder, outdated or incomplete, is replaced.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from resomap.errors import ResoMapError
from resomap.metrics import SCORE_NAMES
from resomap.system.files import read_json
from resomap.workflow.receipts import check_content

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Metric = tuple[str, float, int]
"""Name, value and epoch."""
FOLDER_TAG, DIGEST_TAG = "resomap.folder", "resomap.content"
RUN_FILES = ("metrics.json", "timing.json", "history.csv", "evaluation.csv")
CODE_FIELDS = ("code", "data_code")
"""Fields of a job that become tags, because they are digests and not parameters."""
# By default MLflow retries for minutes when a server is down, and sends usage data.
MLFLOW_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class RunRecord:
    """What is copied of one run."""

    folder: str
    name: str
    status: str
    params: dict[str, str]
    metrics: tuple[Metric, ...]
    tags: dict[str, str]

    @property
    def digest(self) -> str:
        """Return a digest of the whole record."""
        content = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_record(folder: Path) -> RunRecord:
    """Read the record of a run from its results, .../{family}/{model}/r{resolution}/seed{seed}."""
    for name in RUN_FILES:
        check_content(folder / name)
    run, timing = (read_json(folder / name) for name in ("metrics.json", "timing.json"))
    job, status = run["job"], run["status"]
    settings = {name: value for name, value in job.items() if name not in CODE_FIELDS}
    environment = {name: str(value) for name, value in run["environment"].items()}
    metrics = (
        *_history_metrics(folder / "history.csv"),
        *_final_metrics(run, timing),
        *_test_metrics(folder / "evaluation.csv", job["resolution"]),
    )
    return RunRecord(
        # Absolute, so that two working directories can share a server.
        folder=str(folder.resolve()),
        name=" ".join(folder.parts[-3:]),
        status=status,
        params=dict(_flatten(settings)),
        metrics=metrics,
        tags={"status": status, **environment, **{name: job[name] for name in CODE_FIELDS}},
    )


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested values as `training.optimizer.type`, `adamw`."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _history_metrics(path: Path) -> Iterator[Metric]:
    for row in _read_rows(path):
        epoch = int(row.pop("epoch"))
        for name, value in row.items():
            if value:
                yield name, float(value), epoch


def _final_metrics(run: dict[str, Any], timing: dict[str, Any]) -> Iterator[Metric]:
    """Yield the best epoch's scores, the times, and how the training ended."""
    values = {f"best_{name}": value for name, value in run["scores"].items()}
    values |= timing
    # Not `learning_rate`: the history has a metric of that name.
    values["peak_learning_rate"] = run.get("learning_rate")
    values |= {name: run.get(name) for name in ("micro_batch", "steps")}
    for name, value in values.items():
        if isinstance(value, int | float):
            yield name, float(value), 0


def _test_metrics(path: Path, resolution: int) -> Iterator[Metric]:
    """Yield every test score at the run's own resolution, and the accuracy at the others."""
    for row in _read_rows(path):
        if row["mode"] != "raw":
            continue
        eval_resolution = int(row["eval_resolution"])
        if eval_resolution == resolution:
            scores = {f"test_{name}": row[name] for name in SCORE_NAMES}
        else:
            scores = {f"test_accuracy_r{eval_resolution}": row["accuracy"]}
        yield from ((name, float(value), 0) for name, value in scores.items() if value)


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def copy_runs(folders: Sequence[Path], tracking_uri: str, experiment: str) -> list[str]:
    """Copy the runs in `folders` to `experiment` and return MLflow's ID of each.

    A second call changes nothing. ResoMapError if MLflow is not installed, cannot be reached, or
    refuses.
    """
    records = [read_record(folder) for folder in folders]
    with _connect(tracking_uri) as client:
        experiment_id = _find_or_create_experiment(client, experiment)
        # Replaced, never updated: MLflow appends to a metric and refuses a second value of a
        # parameter (decision 0008).
        complete = {}
        for run in _find_copies(client, experiment_id):
            tags = run.data.tags
            complete[tags[FOLDER_TAG], tags.get(DIGEST_TAG)] = run.info.run_id
        run_ids: dict[str, str] = {}
        for record in tqdm(records, desc="track", unit="run", mininterval=5):
            kept = complete.get((record.folder, record.digest))
            run_ids[record.folder] = kept or _write_copy(client, experiment_id, record)
        _delete_other_copies(client, experiment_id, run_ids)
    return list(run_ids.values())


def _delete_other_copies(
    client: "MlflowClient", experiment_id: str, run_ids: dict[str, str]
) -> None:
    """Delete every copy of a folder in `run_ids` that is not the one with its ID."""
    # Searched again, because MLflow's client repeats a request whose response was lost, which may
    # create two runs.
    for run in _find_copies(client, experiment_id):
        run_id = run.info.run_id
        if run_ids.get(run.data.tags[FOLDER_TAG], run_id) != run_id:
            client.delete_run(run_id)


@contextmanager
def _connect(tracking_uri: str) -> Iterator["MlflowClient"]:
    """Yield a client, and turn errors of MLflow, its database or the network into ResoMapError."""
    for name, value in MLFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise ResoMapError(
            "`snakemake track` needs MLflow: pip install 'resomap[tracking]'"
        ) from None
    # ImportError: the database driver that the address names is not installed.
    failures = (MlflowException, SQLAlchemyError, OSError, ImportError)
    try:
        yield MlflowClient(tracking_uri)
    except failures as error:
        raise ResoMapError(
            f"config/mlflow.yaml: mlflow.tracking_uri: cannot copy to {tracking_uri}: "
            f"{_summarise_error(error)}. No result is lost: run `snakemake track` again to resume"
        ) from None


def _summarise_error(error: BaseException) -> str:
    """Return the reason in one line; for a connection or a file only the system's message."""
    if isinstance(error.__context__, OSError):
        while error.__context__:
            error = error.__context__
    return str(error).strip().partition("\n")[0].rstrip(".")


def _find_or_create_experiment(client: "MlflowClient", name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    return experiment.experiment_id if experiment else client.create_experiment(name)


def _find_copies(client: "MlflowClient", experiment_id: str) -> Iterator["Run"]:
    """Yield every copy made by ResoMap, complete or not."""
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], max_results=1000, page_token=token)
        yield from (run for run in page if FOLDER_TAG in run.data.tags)
        token = page.token
        if not token:
            return


def _write_copy(client: "MlflowClient", experiment_id: str, record: RunRecord) -> str:
    from mlflow import entities

    tags = {FOLDER_TAG: record.folder, **record.tags}
    created = client.create_run(experiment_id, tags=tags, run_name=record.name).info
    metrics = [
        entities.Metric(name, value, created.start_time, epoch)
        for name, value, epoch in record.metrics
    ]
    params = [entities.Param(name, value) for name, value in record.params.items()]
    client.log_batch(created.run_id, metrics=metrics, params=params)
    client.set_terminated(created.run_id, "FINISHED" if record.status == "ok" else "FAILED")
    # Last: the digest marks the copy as complete.
    client.set_tag(created.run_id, DIGEST_TAG, record.digest)
    return str(created.run_id)
