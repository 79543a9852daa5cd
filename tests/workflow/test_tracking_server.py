"""Copies to a real `mlflow server` on loopback, which is killed and restarted, and by the rule."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from resomap.config.load import build_config, merge
from resomap.mlflow_copy import DIGEST_TAG, FOLDER_TAG, MLFLOW_SETTINGS, read_record
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.tracked import list_copies, write_run

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="needs mlflow: pip install 'resomap[tracking]'"
)

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
RUNS, RUNS_BEFORE_KILL = 50, 12


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Keep MLflow from sending usage data and from starting more processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **MLFLOW_SETTINGS,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }.items():
            patch.setenv(name, value)
        yield


def wait_for(condition: Callable[[], bool], description: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {description}"
        time.sleep(0.05)


class Server:
    """`mlflow server` with a database in `folder`, on the same port at every start."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.options = ("--host", "127.0.0.1", "--port", port, "--workers", "1")
        self.uri, self.folder = f"http://127.0.0.1:{port}", folder

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            f"sqlite:///{self.folder}/mlflow.db",
            *self.options,
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self.is_healthy, f"the server; {self.folder}/server.log has details")

    def is_healthy(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as response:
                return response.status == 200
        except (URLError, ConnectionError, TimeoutError):
            return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    try:
        started.start()
        yield started
    finally:
        started.kill()


def test_killed_server_gets_every_run_once(server, tmp_path, defaults):
    sweep = {"models": ["tiny_cnn"], "resolutions": [24, 48], "seeds": list(range(RUNS // 2))}
    folders = [
        write_run(tmp_path / "runs", resolution, seed)
        for resolution in sweep["resolutions"]
        for seed in sweep["seeds"]
    ]
    config = build_config(
        merge(
            defaults,
            {"sweep": sweep, "mlflow": {"tracking_uri": server.uri, "experiment": "Killed"}},
        )
    )
    paths = ["--runs", str(tmp_path / "runs"), "--tracked", str(tmp_path / "tracking.json")]
    command = [
        sys.executable,
        "-m",
        "workflow_scripts.track",
        "--job",
        build_job(config, jobs.Track).to_json(),
        *paths,
    ]

    copying = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for(
        lambda: len(list_copies(server.uri, "Killed")) >= RUNS_BEFORE_KILL,
        f"{RUNS_BEFORE_KILL} runs",
    )
    server.kill()
    _, log = copying.communicate(timeout=30)
    assert copying.returncode == 1
    assert log.splitlines()[-1].startswith(
        f"error: config/mlflow.yaml: mlflow.tracking_uri: cannot copy to {server.uri}: "
    )
    assert (log.count("error"), "Traceback" in log) == (1, False), log
    assert not (tmp_path / "tracking.json").exists()

    server.start()
    assert RUNS_BEFORE_KILL <= len(list_copies(server.uri, "Killed")) < RUNS
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_SECONDS)
    copies = list_copies(server.uri, "Killed")
    assert Counter(run.data.tags[FOLDER_TAG] for run in copies) == Counter(
        str(folder) for folder in folders
    )
    assert {run.data.tags[DIGEST_TAG] for run in copies} == {
        read_record(folder).digest for folder in folders
    }
    assert set(read_json(tmp_path / "tracking.json")["runs"].values()) == {
        run.info.run_id for run in copies
    }

    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_SECONDS)
    assert [run.to_dictionary() for run in list_copies(server.uri, "Killed")] == [
        run.to_dictionary() for run in copies
    ]


def test_track_target_copies_changed_runs_only(smoked):
    def copied() -> dict[str, str]:
        run = smoked.snakemake("track")
        assert run.returncode == 0, run.stdout + run.stderr
        return {
            run.info.run_name: run.info.run_id
            for run in list_copies(f"sqlite:///{smoked.path}/results/mlflow.db", "Smoke")
        }

    first = copied()
    assert first.keys() == {"tiny_cnn r16 seed0", "tiny_cnn r24 seed0"}
    assert smoked.planned(target="track") == {}
    smoked.edit(
        "results/runs/custom/tiny_cnn/r16/seed0/timing.json",
        '"train_seconds": ',
        '"train_seconds": 9',
    )
    assert smoked.planned(target="track") == {"track_runs": 1}
    second = copied()
    assert {name for name in first | second if first.get(name) != second.get(name)} == {
        "tiny_cnn r16 seed0"
    }


def test_sweep_needs_no_copy(smoked):
    assert (
        smoked.planned(
            {"mlflow": {"tracking_uri": "http://127.0.0.1:9", "experiment": "Another"}}
        )
        == {}
    )
    assert smoked.planned({"mlflow": {"enabled": True}}) == {"track_runs": 1}


def test_server_that_is_down_fails_only_the_copy(smoked):
    (smoked.path / "results/report/index.html").unlink()
    with (
        socket.socket() as bound
    ):  # Bound but not listening, so the port stays free of other servers.
        bound.bind(("127.0.0.1", 0))
        overlay = {
            "mlflow": {
                "enabled": True,
                "tracking_uri": f"http://127.0.0.1:{bound.getsockname()[1]}",
            }
        }
        run = smoked.snakemake(overlay=overlay)
    assert run.returncode == 1
    assert (smoked.path / "results/report/index.html").is_file()
    assert smoked.planned(overlay) == {"track_runs": 1}
    (message,) = (smoked.path / "logs/track.log").read_text().splitlines()
    assert ": [Errno " in message
    assert message in run.stdout + run.stderr
