"""The copy as people make it: at a real `mlflow server` on loopback, killed and started again in between, and by the rule."""

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
from resomap.mlflow_copy import CONTENT, FOLDER, SETTINGS, read_record
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.tracked import shown, write_run

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None, reason="needs mlflow: pip install 'resomap[tracking]'"
)

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
RUNS, SEEN = 50, 12


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """No word to MLflow's makers, and no processes beside the server, from here or from what is started here."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}.items():
            patch.setenv(name, value)
        yield


def wait_for(what: Callable[[], bool], told: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {told}"
        time.sleep(0.05)


class Server:
    """`mlflow server` over a database in `folder`, in a process group of its own, on one port however often it is started."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.place = (
                "--host",
                "127.0.0.1",
                "--port",
                str(free.getsockname()[1]),
                "--workers",
                "1",
            )
        self.uri, self.folder = f"http://127.0.0.1:{self.place[3]}", folder

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            f"sqlite:///{self.folder}/mlflow.db",
            *self.place,
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self.answers, f"the server; {self.folder}/server.log tells more")

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
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


def test_fifty_runs_are_there_once_though_the_server_was_killed_in_between(
    server, tmp_path, defaults
):
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
    wait_for(lambda: len(shown(server.uri, "Killed")) >= SEEN, f"{SEEN} runs")
    server.kill()
    _, said = copying.communicate(timeout=30)
    assert copying.returncode == 1
    assert said.splitlines()[-1].startswith(
        f"error: config/mlflow.yaml: mlflow.tracking_uri: {server.uri} does not take the copy: "
    )
    assert (said.count("error"), "Traceback" in said) == (1, False), said
    assert not (tmp_path / "tracking.json").exists()

    server.start()
    assert SEEN <= len(shown(server.uri, "Killed")) < RUNS
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_SECONDS)
    there = shown(server.uri, "Killed")
    assert Counter(run.data.tags[FOLDER] for run in there) == Counter(
        str(folder) for folder in folders
    )
    assert {run.data.tags[CONTENT] for run in there} == {
        read_record(folder).content for folder in folders
    }
    assert set(read_json(tmp_path / "tracking.json")["runs"].values()) == {
        run.info.run_id for run in there
    }

    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_SECONDS)
    assert [run.to_dictionary() for run in shown(server.uri, "Killed")] == [
        run.to_dictionary() for run in there
    ]


def test_the_target_copies_the_sweep_and_later_what_changed(smoked):
    def copied() -> dict[str, str]:
        run = smoked.snakemake("track")
        assert run.returncode == 0, run.stdout + run.stderr
        return {
            run.info.run_name: run.info.run_id
            for run in shown(f"sqlite:///{smoked.path}/results/mlflow.db", "Smoke")
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


def test_nothing_of_the_sweep_asks_for_the_copy(smoked):
    assert (
        smoked.planned(
            {"mlflow": {"tracking_uri": "http://127.0.0.1:9", "experiment": "Another"}}
        )
        == {}
    )
    assert smoked.planned({"mlflow": {"enabled": True}}) == {"track_runs": 1}


def test_a_server_that_is_down_fails_the_copy_alone(smoked):
    (smoked.path / "results/report/index.html").unlink()
    with socket.socket() as bound:  # and not listening: nobody else can take the port
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
    (told,) = (smoked.path / "logs/track.log").read_text().splitlines()
    assert "does not take the copy: [Errno " in told
    assert told in run.stdout + run.stderr
