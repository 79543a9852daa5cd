"""Copies in MLflow: their content, that each run has one, and reported failures."""

import shutil
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from resomap.config.load import build_config, merge
from resomap.errors import DataError, ResoMapError
from resomap.metrics import SCORE_NAMES
from resomap.mlflow_copy import DIGEST_TAG, FOLDER_TAG, copy_runs, read_record
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.tracked import list_copies, write_run
from workflow_scripts import track

EXPERIMENT = "Reef"


def test_record_holds_flat_parameters(tmp_path):
    record = read_record(write_run(tmp_path, 48, 1))
    assert record.name == "tiny_cnn r48 seed1"
    assert record.params == {
        "architecture.name": "tiny_cnn",
        "architecture.channels": "[8, 16]",
        "architecture.width_mult": "null",
        "training.optimizer.learning_rate": "0.005",
        "training.start": "random",
        "resolution": "48",
        "seed": "1",
    }


def test_record_holds_environment_and_code(tmp_path):
    folder = write_run(tmp_path)
    record = read_record(folder)
    assert record.folder == str(folder.resolve())
    assert record.tags == {
        "status": "ok",
        "device": "cpu",
        "torch": "2.11.0",
        "processes": "1",
        "code": "c0de",
        "data_code": "da7a",
    }


@pytest.mark.parametrize(
    "name", ["metrics.json", "timing.json", "history.csv", "evaluation.csv"]
)
def test_damaged_result_is_not_copied(tmp_path, monkeypatch, name):
    checked = []

    def check(path: Path) -> None:
        checked.append(path.name)
        if path.name == name:
            raise DataError(f"{path} is damaged")

    monkeypatch.setattr("resomap.mlflow_copy.check_content", check)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        read_record(write_run(tmp_path))
    assert checked[-1] == name


def test_record_holds_history_best_epoch_and_test(tmp_path):
    record = read_record(write_run(tmp_path, epochs=2, accuracy=0.75))
    assert record.metrics == (
        ("train_loss", 2.0, 0), ("val_loss", 1.5, 0), ("learning_rate", 0.005, 0),
        ("train_loss", 1.0, 1), ("val_loss", 1.5, 1), ("learning_rate", 0.005, 1),
        ("best_epoch", 2.0, 0), ("best_val_loss", 1.5, 0), ("train_seconds", 8.0, 0),
        ("peak_learning_rate", 0.005, 0),
        *((f"test_{name}", 0.75, 0) for name in SCORE_NAMES), ("test_accuracy_r48", 0.75, 0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "metrics"), [("diverged", {"steps": 7.0}), ("infeasible", {})]
)
def test_record_of_failed_run_has_remaining_metrics(tmp_path, status, metrics):
    record = read_record(write_run(tmp_path, status=status))
    assert record.tags["status"] == status
    assert {name: value for name, value, _ in record.metrics} == {
        **metrics,
        "train_seconds": 8.0,
        "peak_learning_rate": 0.005,
    }


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("metrics.json", "c0de", "0the"),
        ("history.csv", "0.005", "0.006"),
        ("timing.json", "8.0", "9.0"),
        ("evaluation.csv", "0.5", "0.6"),
    ],
)
def test_digest_changes_with_every_file(tmp_path, file, old, new):
    folder = write_run(tmp_path)
    before = read_record(folder).digest
    assert read_record(folder).digest == before
    text = (folder / file).read_text()
    (folder / file).write_text(text.replace(old, new))
    assert read_record(folder).digest != before


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database in a folder that did not exist."""
    if find_spec("mlflow") is None:
        pytest.skip("needs mlflow: pip install 'resomap[tracking]'")
    path = tmp_path_factory.mktemp("mlflow") / "made" / "empty.db"
    assert copy_runs([], f"sqlite:///{path}", EXPERIMENT) == []
    return path


@pytest.fixture
def uri(empty_database: Path, tmp_path: Path) -> str:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path / "runs", seed=seed) for seed in range(3)]


def copied_content(uri: str) -> list[tuple]:
    """Return folder, digest, parameters and last metrics of every copy."""
    copies = [
        (run.data.tags, run.data.params, run.data.metrics)
        for run in list_copies(uri, EXPERIMENT)
    ]
    return sorted(
        (
            tags[FOLDER_TAG],
            tags.get(DIGEST_TAG, "incomplete"),
            sorted(params.items()),
            sorted(last.items()),
        )
        for tags, params, last in copies
    )


def expected_content(folders: list[Path]) -> list[tuple]:
    """Return the same of the results of every run."""
    records = [
        (record, {name: value for name, value, _ in record.metrics})
        for record in map(read_record, folders)
    ]
    return sorted(
        (record.folder, record.digest, sorted(record.params.items()), sorted(last.items()))
        for record, last in records
    )


def test_copy_equals_record(uri, runs):
    from mlflow import MlflowClient

    (run_id,) = copy_runs(runs[:1], uri, EXPERIMENT)
    (run,) = list_copies(uri, EXPERIMENT)
    record = read_record(runs[0])
    assert (run.info.run_id, run.info.run_name, run.info.status) == (
        run_id,
        "tiny_cnn r24 seed0",
        "FINISHED",
    )
    assert run.data.params == record.params
    assert run.data.tags.items() >= record.tags.items()
    assert run.data.metrics.keys() == {name for name, _, _ in record.metrics}
    losses = MlflowClient(uri).get_metric_history(run_id, "train_loss")
    assert [(metric.step, metric.value) for metric in losses] == [
        (0, 2.0),
        (1, 1.0),
        (2, 2 / 3),
    ]


@pytest.mark.parametrize("status", ["diverged", "infeasible", "unknown"])
def test_failed_run_is_copied_as_failed(uri, tmp_path, status):
    copy_runs([write_run(tmp_path / "runs", status=status)], uri, EXPERIMENT)
    (run,) = list_copies(uri, EXPERIMENT)
    assert (run.info.status, run.data.tags["status"]) == ("FAILED", status)


def test_large_run_is_copied_completely(uri, tmp_path):
    folder = write_run(
        tmp_path / "runs",
        epochs=400,
        training={f"key{number}": number for number in range(150)},
    )
    copied = copy_runs([folder], uri, EXPERIMENT)
    (run,) = list_copies(uri, EXPERIMENT)
    assert len(run.data.params) == len(read_record(folder).params) > 150
    assert run.data.metrics["train_loss"] == 2 / 400
    assert copy_runs([folder], uri, EXPERIMENT) == copied


def test_second_copy_changes_nothing(uri, runs):
    copied = copy_runs(runs, uri, EXPERIMENT)
    before = [run.to_dictionary() for run in list_copies(uri, EXPERIMENT)]
    assert copy_runs(runs, uri, EXPERIMENT) == copied
    assert [run.to_dictionary() for run in list_copies(uri, EXPERIMENT)] == before


def test_repeated_run_replaces_its_copy_only(uri, runs, tmp_path):
    before = copy_runs(runs, uri, EXPERIMENT)
    write_run(tmp_path / "runs", seed=1, accuracy=0.875)
    after = copy_runs(runs, uri, EXPERIMENT)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert copied_content(uri) == expected_content(runs)


@pytest.mark.parametrize(
    "step", ["create_run", "log_batch", "set_terminated", "set_tag", "delete_run"]
)
def test_interrupted_copy_is_completed(uri, runs, tmp_path, monkeypatch, step):
    from mlflow import MlflowClient

    copy_runs(runs, uri, EXPERIMENT)
    for seed in range(3):
        write_run(tmp_path / "runs", seed=seed, accuracy=0.875)
    calls, original = [], getattr(MlflowClient, step)

    def interrupt(*args, **kwargs):
        calls.append(step)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        copy_runs(runs, uri, EXPERIMENT)
    assert copied_content(uri) != expected_content(runs)
    copy_runs(runs, uri, EXPERIMENT)
    assert copied_content(uri) == expected_content(runs)


def test_repeated_request_leaves_one_copy(uri, runs, monkeypatch):
    from mlflow import MlflowClient

    create = MlflowClient.create_run
    monkeypatch.setattr(
        MlflowClient,
        "create_run",
        lambda *args, **kwargs: [create(*args, **kwargs) for _ in range(2)][1],
    )
    copy_runs(runs, uri, EXPERIMENT)
    assert copied_content(uri) == expected_content(runs)


def test_copies_are_found_on_every_page(uri, runs, monkeypatch):
    from mlflow import MlflowClient

    copied, search = copy_runs(runs, uri, EXPERIMENT), MlflowClient.search_runs
    monkeypatch.setattr(
        MlflowClient,
        "search_runs",
        lambda *args, **kwargs: search(*args, **{**kwargs, "max_results": 2}),
    )
    assert copy_runs(runs, uri, EXPERIMENT) == copied


def test_two_working_directories_share_experiment(uri, tmp_path):
    first, second = (
        write_run(tmp_path / name / "results" / "runs") for name in ("first", "second")
    )
    copied = copy_runs([first], uri, EXPERIMENT)
    copy_runs([second], uri, EXPERIMENT)
    assert copied_content(uri) == expected_content([first, second])
    assert copy_runs([first], uri, EXPERIMENT) == copied


def test_foreign_run_is_kept(uri, runs):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    foreign = client.create_run(
        client.get_experiment_by_name(EXPERIMENT).experiment_id, run_name="theirs"
    )
    copied = copy_runs(runs, uri, EXPERIMENT)
    assert {run.info.run_id for run in list_copies(uri, EXPERIMENT)} == {
        *copied,
        foreign.info.run_id,
    }


@pytest.mark.parametrize(
    ("experiment", "place"), [(None, "Smoke"), ("Another name", "Another name")]
)
def test_track_copies_sweep_and_writes_run_ids(uri, tmp_path, defaults, experiment, place):
    here, sweep = (
        tmp_path / "results",
        {"models": ["tiny_cnn"], "resolutions": [24, 48], "seeds": [0]},
    )
    mlflow = {"tracking_uri": uri, "experiment": experiment}
    config = build_config(
        merge(defaults, {"experiment": {"name": "Smoke"}, "sweep": sweep, "mlflow": mlflow})
    )
    for resolution in (24, 48):
        write_run(here / "runs", resolution)
    triggers = "code,input,mtime,params,software-env"
    track.main(build_job(config, jobs.Track), triggers, here / "runs", here / "tracking.json")
    tracking = read_json(here / "tracking.json")
    assert {name: tracking[name] for name in ("tracking_uri", "experiment")} == {
        "tracking_uri": uri,
        "experiment": place,
    }
    assert tracking["runs"] == {
        "/".join(Path(run.data.tags[FOLDER_TAG]).parts[-4:]): run.info.run_id
        for run in list_copies(uri, place)
    }
    assert len(tracking["runs"]) == 2


def error_of(uri: str, experiment: str = EXPERIMENT) -> str:
    with pytest.raises(ResoMapError) as caught:
        copy_runs([], uri, experiment)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(
        f"config/mlflow.yaml: mlflow.tracking_uri: cannot copy to {uri}: "
    )


REMEDY = ". No result is lost: run `snakemake track` again to resume"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("{folder}/mlflow.db", "The filesystem tracking backend"),
        ("ftp://somewhere", "got unsupported URI 'ftp://somewhere'"),
        ("sqlite:///{folder}/text/mlflow.db", "File exists"),
        ("sqlite:///{folder}/text", "file is not a database"),
        ("sqlite+nodriver:///{folder}/mlflow.db", "sqlite.nodriver"),
    ],
)
def test_wrong_address_is_reported_in_one_line(empty_database, tmp_path, address, reason):
    (tmp_path / "text").write_text("no database")
    message = error_of(address.format(folder=tmp_path))
    assert reason in message
    assert message.endswith(REMEDY)


def test_server_that_is_down_is_reported(empty_database, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        socket.socket() as bound
    ):  # Bound but not listening, so the port stays free of other servers.
        bound.bind(("127.0.0.1", 0))
        assert error_of(f"http://127.0.0.1:{bound.getsockname()[1]}").endswith(
            f"Connection refused{REMEDY}"
        )


def test_silent_server_times_out(empty_database, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert error_of(f"http://127.0.0.1:{silent.getsockname()[1]}") == f"timed out{REMEDY}"


def test_deleted_experiment_is_reported(uri, runs):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    with pytest.raises(ResoMapError, match="must be in the 'active' state"):
        copy_runs(runs, uri, EXPERIMENT)


def test_missing_mlflow_is_reported_with_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert (
        error_of("sqlite:///mlflow.db")
        == "`snakemake track` needs MLflow: pip install 'resomap[tracking]'"
    )
