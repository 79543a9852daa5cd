"""A copy of finished runs in MLflow: what was asked, the history, the scores and where they come from. The files stay the source.

A copy carries two tags: the folder that it was made of, set when it is begun, and a digest of what it holds, set when it is whole.
So a copy with the right digest is left alone, and any other copy of that folder, of older results or cut short, is replaced.
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

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FOLDER, CONTENT = "resomap.folder", "resomap.content"
DIGESTS = ("code", "data_code")
# MLflow's own patience with a server that is down is minutes, and it reports its use to its makers.
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@dataclass(frozen=True)
class Record:
    """What MLflow is told of one run; `metrics` holds (name, value, epoch)."""

    folder: str
    name: str
    status: str
    params: dict[str, str]
    metrics: tuple[tuple[str, float, int], ...]
    tags: dict[str, str]

    @property
    def content(self) -> str:
        """A digest of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[
            :16
        ]


def read_record(folder: Path) -> Record:
    """The record of the run whose results lie in `folder`, .../{family}/{model}/r{resolution}/seed{seed}."""
    told, timing = (read_json(folder / name) for name in ("metrics.json", "timing.json"))
    job, status = told["job"], told["status"]
    environment = {name: str(value) for name, value in told["environment"].items()}
    return Record(
        folder=str(folder.resolve()),
        name=" ".join(folder.parts[-3:]),
        status=status,
        params=dict(_flat({name: value for name, value in job.items() if name not in DIGESTS})),
        metrics=(
            *_history(folder / "history.csv"),
            *_finals(told, timing),
            *_tests(folder / "evaluation.csv", job["resolution"]),
        ),
        tags={"status": status, **environment, **{name: job[name] for name in DIGESTS}},
    )


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)


def _history(path: Path) -> Iterator[tuple[str, float, int]]:
    for row in _rows(path):
        epoch = int(row.pop("epoch"))
        yield from ((name, float(value), epoch) for name, value in row.items() if value)


def _finals(told: dict[str, Any], timing: dict[str, Any]) -> Iterator[tuple[str, float, int]]:
    finals = {f"best_{name}": value for name, value in told["scores"].items()} | timing
    finals |= {name: told.get(name) for name in ("learning_rate", "micro_batch", "steps")}
    yield from (
        (name, float(value), 0)
        for name, value in finals.items()
        if isinstance(value, int | float)
    )


def _tests(path: Path, own: int) -> Iterator[tuple[str, float, int]]:
    """Every test score at the run's own resolution, and its accuracy at each other."""
    for row in (row for row in _rows(path) if row["mode"] == "raw"):
        at = int(row["eval_resolution"])
        told = (
            {f"test_{name}": row[name] for name in SCORE_NAMES}
            if at == own
            else {f"test_accuracy_r{at}": row["accuracy"]}
        )
        yield from ((name, float(value), 0) for name, value in told.items() if value)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def copy_runs(folders: Sequence[Path], tracking_uri: str, experiment: str) -> list[str]:
    """Copy the runs in `folders` to `experiment`; returns MLflow's id of each. A second call changes nothing.

    ResoMapError where MLflow is not installed, not reached, or refuses.
    """
    records = [read_record(folder) for folder in folders]
    with _reached(tracking_uri) as client:
        place = _place(client, experiment)
        whole = {
            (run.data.tags[FOLDER], run.data.tags.get(CONTENT)): run.info.run_id
            for run in _copies(client, place)
        }
        ids = {}
        for record in tqdm(records, desc="track", unit="run", mininterval=5):
            ids[record.folder] = whole.get((record.folder, record.content)) or _write(
                client, place, record
            )
        # Asked once more: a request that was repeated because its answer was lost has made two.
        for run in _copies(client, place):
            if ids.get(run.data.tags[FOLDER], run.info.run_id) != run.info.run_id:
                client.delete_run(run.info.run_id)
    return list(ids.values())


@contextmanager
def _reached(tracking_uri: str) -> Iterator["MlflowClient"]:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise ResoMapError(
            "`snakemake track` needs MLflow: pip install 'resomap[tracking]'"
        ) from None
    try:
        yield MlflowClient(tracking_uri)
    except (
        MlflowException,
        SQLAlchemyError,
        OSError,
        ImportError,
    ) as error:  # ImportError: the driver of a database
        told = f"config/mlflow.yaml: mlflow.tracking_uri: {tracking_uri} does not take the copy: {_reason(error)}"
        raise ResoMapError(
            f"{told}. No result is lost: `snakemake track` goes on from here"
        ) from None


def _reason(error: BaseException) -> str:
    """What went wrong, in one line; of a connection or a file only what the system said."""
    if isinstance(error.__context__, OSError):
        while error.__context__:
            error = error.__context__
    return str(error).strip().partition("\n")[0].rstrip(".")


def _place(client: "MlflowClient", experiment: str) -> str:
    found = client.get_experiment_by_name(experiment)
    return found.experiment_id if found else client.create_experiment(experiment)


def _copies(client: "MlflowClient", place: str) -> Iterator["Run"]:
    """Every copy that ResoMap began there, whole or not."""
    page = None
    while page is None or page.token:
        page = client.search_runs(
            [place], max_results=1000, page_token=page.token if page else None
        )
        yield from (run for run in page if FOLDER in run.data.tags)


def _write(client: "MlflowClient", place: str, record: Record) -> str:
    from mlflow.entities import Metric, Param

    made = client.create_run(
        place, tags={FOLDER: record.folder, **record.tags}, run_name=record.name
    ).info
    metrics = [
        Metric(name, value, made.start_time, epoch) for name, value, epoch in record.metrics
    ]
    client.log_batch(
        made.run_id, metrics=metrics, params=[Param(*item) for item in record.params.items()]
    )
    client.set_terminated(made.run_id, "FINISHED" if record.status == "ok" else "FAILED")
    client.set_tag(made.run_id, CONTENT, record.content)
    return str(made.run_id)
