"""The copy in MLflow: what it says of a run, that each run is there once, and what stops it."""

import shutil
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from resomap.config.load import build_config, merge
from resomap.errors import ResoMapError
from resomap.metrics import SCORE_NAMES
from resomap.mlflow_copy import CONTENT, FOLDER, copy_runs, read_record
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.tracked import shown, write_run
from workflow_scripts import track

EXPERIMENT = "Reef"


def test_a_record_says_what_was_asked(tmp_path):
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


def test_a_record_says_where_the_numbers_come_from(tmp_path):
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


def test_a_record_holds_every_epoch_the_best_one_and_the_test(tmp_path):
    record = read_record(write_run(tmp_path, epochs=2, accuracy=0.75))
    assert record.metrics == (
        ("train_loss", 2.0, 0), ("val_loss", 1.5, 0), ("lr", 0.005, 0),
        ("train_loss", 1.0, 1), ("val_loss", 1.5, 1), ("lr", 0.005, 1),
        ("best_epoch", 2.0, 0), ("best_val_loss", 1.5, 0), ("train_seconds", 8.0, 0),
        ("learning_rate", 0.005, 0),
        *((f"test_{name}", 0.75, 0) for name in SCORE_NAMES), ("test_accuracy_r48", 0.75, 0),
    )  # fmt: skip


@pytest.mark.parametrize(("status", "left"), [("diverged", {"steps": 7.0}), ("infeasible", {})])
def test_a_run_without_a_result_keeps_what_it_has(tmp_path, status, left):
    record = read_record(write_run(tmp_path, status=status))
    assert record.tags["status"] == status
    assert {name: value for name, value, _ in record.metrics} == {
        **left,
        "train_seconds": 8.0,
        "learning_rate": 0.005,
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
def test_the_digest_changes_with_every_file_and_with_nothing_else(tmp_path, file, old, new):
    folder = write_run(tmp_path)
    before = read_record(folder).content
    assert read_record(folder).content == before
    text = (folder / file).read_text()
    (folder / file).write_text(text.replace(old, new))
    assert read_record(folder).content != before


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that holds no run, made once, in a folder that was not there."""
    if find_spec("mlflow") is None:
        pytest.skip("needs mlflow: pip install 'resomap[tracking]'")
    path = tmp_path_factory.mktemp("mlflow") / "made" / "empty.db"
    assert copy_runs([], f"sqlite:///{path}", EXPERIMENT) == []
    return path


@pytest.fixture
def uri(empty: Path, tmp_path: Path) -> str:
    shutil.copy(empty, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path / "runs", seed=seed) for seed in range(3)]


def held(uri: str) -> list[tuple]:
    """Folder, digest, parameters and last metrics of every copy."""
    copies = [
        (run.data.tags, run.data.params, run.data.metrics) for run in shown(uri, EXPERIMENT)
    ]
    return sorted(
        (
            tags[FOLDER],
            tags.get(CONTENT, "not whole"),
            sorted(params.items()),
            sorted(last.items()),
        )
        for tags, params, last in copies
    )


def wanted(folders: list[Path]) -> list[tuple]:
    """The same, of what every run left."""
    records = [
        (record, {name: value for name, value, _ in record.metrics})
        for record in map(read_record, folders)
    ]
    return sorted(
        (record.folder, record.content, sorted(record.params.items()), sorted(last.items()))
        for record, last in records
    )


def test_a_copy_holds_what_the_record_holds(uri, runs):
    from mlflow import MlflowClient

    (copied,) = copy_runs(runs[:1], uri, EXPERIMENT)
    (run,) = shown(uri, EXPERIMENT)
    record = read_record(runs[0])
    assert (run.info.run_id, run.info.run_name, run.info.status) == (
        copied,
        "tiny_cnn r24 seed0",
        "FINISHED",
    )
    assert run.data.params == record.params
    assert run.data.tags.items() >= record.tags.items()
    assert run.data.metrics.keys() == {name for name, _, _ in record.metrics}
    losses = MlflowClient(uri).get_metric_history(copied, "train_loss")
    assert [(metric.step, metric.value) for metric in losses] == [
        (0, 2.0),
        (1, 1.0),
        (2, 2 / 3),
    ]


@pytest.mark.parametrize("status", ["diverged", "infeasible", "of a later day"])
def test_a_run_that_did_not_end_well_is_there_and_marked(uri, tmp_path, status):
    copy_runs([write_run(tmp_path / "runs", status=status)], uri, EXPERIMENT)
    (run,) = shown(uri, EXPERIMENT)
    assert (run.info.status, run.data.tags["status"]) == ("FAILED", status)


def test_more_than_one_request_can_carry_is_copied_whole(uri, tmp_path):
    folder = write_run(
        tmp_path / "runs",
        epochs=400,
        training={f"key{number}": number for number in range(150)},
    )
    copied = copy_runs([folder], uri, EXPERIMENT)
    (run,) = shown(uri, EXPERIMENT)
    assert len(run.data.params) == len(read_record(folder).params) > 150
    assert run.data.metrics["train_loss"] == 2 / 400
    assert copy_runs([folder], uri, EXPERIMENT) == copied


def test_a_second_copy_changes_nothing(uri, runs):
    copied = copy_runs(runs, uri, EXPERIMENT)
    before = [run.to_dictionary() for run in shown(uri, EXPERIMENT)]
    assert copy_runs(runs, uri, EXPERIMENT) == copied
    assert [run.to_dictionary() for run in shown(uri, EXPERIMENT)] == before


def test_a_run_that_was_made_again_replaces_its_copy_alone(uri, runs, tmp_path):
    before = copy_runs(runs, uri, EXPERIMENT)
    write_run(tmp_path / "runs", seed=1, accuracy=0.875)
    after = copy_runs(runs, uri, EXPERIMENT)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert held(uri) == wanted(runs)


@pytest.mark.parametrize(
    "step", ["create_run", "log_batch", "set_terminated", "set_tag", "delete_run"]
)
def test_a_copy_that_was_cut_short_anywhere_is_completed(
    uri, runs, tmp_path, monkeypatch, step
):
    from mlflow import MlflowClient

    copy_runs(runs, uri, EXPERIMENT)
    for seed in range(3):
        write_run(tmp_path / "runs", seed=seed, accuracy=0.875)
    done, carry_out = [], getattr(MlflowClient, step)

    def cut(*args, **kwargs):
        done.append(step)
        if len(done) == 2:
            raise KeyboardInterrupt
        return carry_out(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, step, cut)
    with pytest.raises(KeyboardInterrupt):
        copy_runs(runs, uri, EXPERIMENT)
    assert held(uri) != wanted(runs)
    copy_runs(runs, uri, EXPERIMENT)
    assert held(uri) == wanted(runs)


def test_a_request_that_was_repeated_because_its_answer_was_lost_leaves_no_second_copy(
    uri, runs, monkeypatch
):
    from mlflow import MlflowClient

    create = MlflowClient.create_run
    monkeypatch.setattr(
        MlflowClient,
        "create_run",
        lambda *args, **kwargs: [create(*args, **kwargs) for _ in range(2)][1],
    )
    copy_runs(runs, uri, EXPERIMENT)
    assert held(uri) == wanted(runs)


def test_copies_are_found_on_every_page_of_an_answer(uri, runs, monkeypatch):
    from mlflow import MlflowClient

    copied, search = copy_runs(runs, uri, EXPERIMENT), MlflowClient.search_runs
    monkeypatch.setattr(
        MlflowClient,
        "search_runs",
        lambda *args, **kwargs: search(*args, **{**kwargs, "max_results": 2}),
    )
    assert copy_runs(runs, uri, EXPERIMENT) == copied


def test_two_working_directories_share_an_experiment(uri, tmp_path):
    here, there = (
        write_run(tmp_path / name / "results" / "runs") for name in ("first", "second")
    )
    copied = copy_runs([here], uri, EXPERIMENT)
    copy_runs([there], uri, EXPERIMENT)
    assert held(uri) == wanted([here, there])
    assert copy_runs([here], uri, EXPERIMENT) == copied


def test_a_run_that_someone_else_keeps_there_stays_as_it_is(uri, runs):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    foreign = client.create_run(
        client.get_experiment_by_name(EXPERIMENT).experiment_id, run_name="theirs"
    )
    copied = copy_runs(runs, uri, EXPERIMENT)
    assert {run.info.run_id for run in shown(uri, EXPERIMENT)} == {*copied, foreign.info.run_id}


@pytest.mark.parametrize(
    ("experiment", "place"), [(None, "Smoke"), ("Another name", "Another name")]
)
def test_the_main_copies_the_sweep_and_writes_where_each_run_is(
    uri, tmp_path, defaults, experiment, place
):
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
    track.main(build_job(config, jobs.Track), here / "runs", here / "tracking.json")
    told = read_json(here / "tracking.json")
    assert {name: told[name] for name in ("tracking_uri", "experiment")} == {
        "tracking_uri": uri,
        "experiment": place,
    }
    assert told["runs"] == {
        "/".join(Path(run.data.tags[FOLDER]).parts[-4:]): run.info.run_id
        for run in shown(uri, place)
    }
    assert len(told["runs"]) == 2


def refusal(uri: str, experiment: str = EXPERIMENT) -> str:
    with pytest.raises(ResoMapError) as refused:
        copy_runs([], uri, experiment)
    message = str(refused.value)
    assert "\n" not in message
    return message.removeprefix(
        f"config/mlflow.yaml: mlflow.tracking_uri: {uri} does not take the copy: "
    )


AFTER = ". No result is lost: `snakemake track` goes on from here"


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
def test_an_address_that_leads_nowhere_is_said_in_one_line(empty, tmp_path, address, reason):
    (tmp_path / "text").write_text("no database")
    told = refusal(address.format(folder=tmp_path))
    assert reason in told
    assert told.endswith(AFTER)


def test_a_server_that_is_down_is_said_in_one_line(empty, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as bound:  # and not listening: nobody else can take the port
        bound.bind(("127.0.0.1", 0))
        assert refusal(f"http://127.0.0.1:{bound.getsockname()[1]}").endswith(
            f"Connection refused{AFTER}"
        )


def test_a_server_that_does_not_answer_is_given_up(empty, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert refusal(f"http://127.0.0.1:{silent.getsockname()[1]}") == f"timed out{AFTER}"


def test_an_experiment_in_the_bin_is_said_in_one_line(uri, runs):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    with pytest.raises(ResoMapError, match="must be in the 'active' state"):
        copy_runs(runs, uri, EXPERIMENT)


def test_a_missing_mlflow_is_said_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert (
        refusal("sqlite:///mlflow.db")
        == "`snakemake track` needs MLflow: pip install 'resomap[tracking]'"
    )
