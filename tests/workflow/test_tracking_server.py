"""The copy of runs at a real `mlflow server` on loopback, killed and restarted in between, and by its rule."""

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
from resomap.workflow.sweep_results import ALL_TRIGGERS
from tests.tracked import list_copies, write_run

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="needs mlflow: pip install 'resomap[tracking]'"
)

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 120
NUM_RUNS, COPIED_BEFORE_KILL = 50, 12


@pytest.fixture(scope="module", autouse=True)
def mlflow_settings() -> Iterator[None]:
    """Send no telemetry, and start no processes beside the server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            **MLFLOW_SETTINGS,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }.items():
            patch.setenv(name, value)
        yield


def wait_for(condition: Callable[[], bool], description: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT_SECONDS} s for {description}"
        time.sleep(0.05)


class Server:
    """`mlflow server` over a database in `folder`, on the same port after every start."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri, self.folder = f"http://127.0.0.1:{self.port}", folder

    def start(self) -> None:
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        database = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command = [sys.executable, "-m", "mlflow", "server", *database, *address]
        with (self.folder / "server.log").open("ab") as log:
            # A process group of its own, so that all its workers can be killed.
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self.answers, f"the server; see {self.folder}/server.log")

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
        except (URLError, ConnectionError, TimeoutError):
            return False

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(TIMEOUT_SECONDS)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def test_copy_resumes_after_the_server_is_killed(server, tmp_path, defaults):
    seeds, record = range(NUM_RUNS // 2), tmp_path / "tracking.json"
    folders = [
        write_run(tmp_path / "runs", resolution, seed)
        for resolution in (24, 48)
        for seed in seeds
    ]
    sweep = {"models": ["tiny_cnn"], "resolutions": [24, 48], "seeds": list(seeds)}
    mlflow = {"tracking_uri": server.uri, "experiment": "Killed"}
    config = build_config(merge(defaults, {"sweep": sweep, "mlflow": mlflow}))
    job = build_job(config, jobs.Track).to_json()
    options = ["--job", job, "--triggers", ",".join(ALL_TRIGGERS)]
    options += ["--runs", str(tmp_path / "runs"), "--tracked", str(record)]
    command = [sys.executable, "-m", "workflow_scripts.track", *options]

    copying = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for(
        lambda: len(list_copies(server.uri, "Killed")) >= COPIED_BEFORE_KILL,
        f"{COPIED_BEFORE_KILL} runs",
    )
    server.kill()
    _, errors = copying.communicate(timeout=30)
    assert copying.returncode == 1
    assert errors.splitlines()[-1].startswith(
        "error: config/mlflow.yaml: mlflow.tracking_uri: "
    )
    assert errors.count("error") == 1
    assert "Traceback" not in errors
    assert not record.exists()

    server.start()
    assert COPIED_BEFORE_KILL <= len(list_copies(server.uri, "Killed")) < NUM_RUNS
    subprocess.run(command, cwd=ROOT, check=True, timeout=TIMEOUT_SECONDS)
    copies = list_copies(server.uri, "Killed")
    copied_folders = Counter(run.data.tags[FOLDER_TAG] for run in copies)
    assert copied_folders == Counter(map(str, folders))
    assert {run.data.tags[DIGEST_TAG] for run in copies} == {
        read_record(folder).digest for folder in folders
    }
    assert set(read_json(record)["runs"].values()) == {run.info.run_id for run in copies}

    subprocess.run(command, cwd=ROOT, check=True, timeout=TIMEOUT_SECONDS)
    again = [run.to_dictionary() for run in list_copies(server.uri, "Killed")]
    assert again == [run.to_dictionary() for run in copies]


def test_track_target_copies_changed_runs_only(finished_copy):
    def copy_runs() -> dict[str, str]:
        run = finished_copy.snakemake("track")
        assert run.returncode == 0, run.stdout + run.stderr
        uri = f"sqlite:///{finished_copy.path}/results/mlflow.db"
        return {run.info.run_name: run.info.run_id for run in list_copies(uri, "Smoke")}

    first = copy_runs()
    assert first.keys() == {"tiny_cnn r16 seed0", "tiny_cnn r24 seed0"}
    assert finished_copy.planned_jobs(target="track") == {}
    timing = "results/runs/custom/tiny_cnn/r16/seed0/timing.json"
    (finished_copy.path / timing).unlink()  # another training takes another time
    assert finished_copy.snakemake().returncode == 0
    assert finished_copy.planned_jobs(target="track") == {"track_runs": 1}
    second = copy_runs()
    changed = {name for name in first | second if first.get(name) != second.get(name)}
    assert changed == {"tiny_cnn r16 seed0"}


def test_mlflow_config_reruns_only_the_copy(finished_copy):
    mlflow = {"tracking_uri": "http://127.0.0.1:9", "experiment": "Another"}
    assert finished_copy.planned_jobs({"mlflow": mlflow}) == {}
    assert finished_copy.planned_jobs({"mlflow": {"enabled": True}}) == {"track_runs": 1}


def test_unreachable_server_fails_only_the_copy(finished_copy):
    report = finished_copy.path / "results/report/index.html"
    report.unlink()
    with socket.socket() as bound:  # not listening, so that no other process can take the port
        bound.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{bound.getsockname()[1]}"
        overlay = {"mlflow": {"enabled": True, "tracking_uri": uri}}
        run = finished_copy.snakemake(overlay=overlay)
    assert run.returncode == 1
    assert report.is_file()
    assert finished_copy.planned_jobs(overlay) == {"track_runs": 1}
    (error,) = (finished_copy.path / "logs/track.log").read_text().splitlines()
    assert "[Errno " in error
    assert error in run.stdout + run.stderr
