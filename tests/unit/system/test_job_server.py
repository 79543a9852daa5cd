"""The job server and its clients, with small modules in the place of PyTorch and of a job."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from resomap.system.job_client import ADDRESS_VARIABLE, SERVED_MODULES
from resomap.system.job_server import LIBRARIES
from resomap.system.workflow_files import PACKAGE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the job server needs Linux")
SECONDS = 60
JOB = """
import json, os, signal, sys, time
import torch

def describe():
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "is_fork": torch.LOADED_BY != os.getpid(),
        "arguments": sys.argv[1:],
        "directory": os.getcwd(),
        "module": sys.modules["__main__"].__spec__.name,
        "value": os.environ.get("VALUE"),
        "address": os.environ.get("RESOMAP_JOB_SERVER"),
        "files": len(os.listdir("/proc/self/fd")),
        "input": sys.stdin.read() if "read" in sys.argv else None,
    }

def stop(signum, frame):
    print("stopped", flush=True)
    sys.exit(128 + signum)

if __name__ == "__main__":
    action = sys.argv[1]
    if action == "handle":
        signal.signal(signal.SIGTERM, stop)
    print(json.dumps(describe()), flush=True)
    if action == "exit":
        sys.exit(int(sys.argv[2]))
    if action == "message":
        sys.exit("error: no such file")
    if action == "raise":
        1 / 0
    if action == "die":
        os.kill(os.getpid(), int(sys.argv[2]))
    if action in ("wait", "handle"):
        time.sleep(600)
"""
SNAKEMAKE = """
import os, sys
from resomap.system import job_server
job_server.start_job_server()
print(os.environ.get("RESOMAP_JOB_SERVER", ""), flush=True)
sys.stdin.read()
"""


@dataclass
class Setting:
    """A folder with a package of fake jobs, and a process in the place of Snakemake."""

    folder: Path
    environment: dict[str, str]
    snakemake: subprocess.Popen | None = None
    started: list[subprocess.Popen] = field(default_factory=list)

    def start_snakemake(self) -> None:
        self.snakemake = self._start(["-c", SNAKEMAKE])
        assert self.snakemake.stdout is not None
        self.environment[ADDRESS_VARIABLE] = self.snakemake.stdout.readline().strip()

    def start(self, *arguments: str, module: str = "evaluate", **changes: str):
        environment = self.environment | changes
        return self._start(["-m", f"resomap.entry.{module}", *arguments], environment)

    def _start(self, arguments: list[str], environment: dict[str, str] | None = None):
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment or self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def server(self) -> int:
        """Return the process id of the server."""
        assert self.snakemake is not None
        pid = self.snakemake.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0])


@pytest.fixture
def setting(tmp_path) -> Iterator[Setting]:
    """Yield a setting without a server."""
    folder = tmp_path / "work"
    for name in ("system", "entry"):
        (folder / "resomap" / name).mkdir(parents=True)
        shutil.copy(PACKAGE / name / "__init__.py", folder / "resomap" / name)
    (folder / "resomap/__init__.py").touch()
    for name in ("interrupts", "job_client", "job_server", "quick_exit"):
        shutil.copy(PACKAGE / "system" / f"{name}.py", folder / "resomap/system")
    for name in ("evaluate", "train"):
        (folder / f"resomap/entry/{name}.py").write_text(JOB)
    for library in {name.partition(".")[0] for name in LIBRARIES}:
        (folder / f"{library}.py").write_text("import os\nLOADED_BY = os.getpid()\n")
    (folder / "captum").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.pop(ADDRESS_VARIABLE, None)
    made = Setting(folder, environment | {"PYTHONPATH": str(folder)})
    yield made
    for process in made.started:
        with suppress(ProcessLookupError):
            process.kill()
        process.communicate(timeout=SECONDS)


@pytest.fixture
def served(setting) -> Setting:
    """Return a setting with a server."""
    setting.start_snakemake()
    return setting


def first_line(process: subprocess.Popen) -> dict:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_served_job_equals_a_new_process(served):
    outcomes = []
    for environment in ({}, {ADDRESS_VARIABLE: ""}):
        job = served.start("read", "a b", "--c", "", **environment)
        output, errors = job.communicate("from a pipe", timeout=SECONDS)
        described = json.loads(output)
        assert described.pop("is_fork") == (not environment)
        del described["pid"], described["parent"]
        assert described.pop("address") in (None, "")
        outcomes.append((job.returncode, errors, described))
    # One more file is open in a fork: the connection to the client.
    assert outcomes[0][2].pop("files") - outcomes[1][2].pop("files") == 1
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "arguments",
    [("exit", "0"), ("exit", "3"), ("message",), ("raise",), ("die", "9"), ("die", "15")],
)
def test_end_of_job_is_that_of_a_new_process(served, arguments):
    ends = []
    for environment in ({}, {ADDRESS_VARIABLE: ""}):
        job = served.start(*arguments, **environment)
        output, errors = job.communicate(timeout=SECONDS)
        assert json.loads(output)["is_fork"] == (not environment)
        ends.append((job.returncode, errors.splitlines()[-1:]))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("train", {}),
        ("evaluate", {"OMP_NUM_THREADS": "2"}),
        ("evaluate", {ADDRESS_VARIABLE: "@no-such-server"}),
        ("evaluate", {ADDRESS_VARIABLE: "off"}),
    ],
)
def test_job_that_cannot_be_served_runs_by_itself(served, module, changes):
    served.start("exit", "0").communicate(timeout=SECONDS)
    job = served.start("exit", "5", module=module, **changes)
    output, _ = job.communicate(timeout=SECONDS)
    assert (job.returncode, json.loads(output)["is_fork"]) == (5, False)


def test_no_server_starts_when_it_is_off(setting):
    setting.environment[ADDRESS_VARIABLE] = "off"
    setting.start_snakemake()
    assert setting.environment[ADDRESS_VARIABLE] == "off"
    assert (
        Path(f"/proc/{setting.snakemake.pid}/task/{setting.snakemake.pid}/children").read_text()
        == ""
    )


@pytest.mark.parametrize(
    ("action", "signum", "code"),
    [
        ("handle", signal.SIGTERM, 128 + signal.SIGTERM),
        ("wait", signal.SIGTERM, -signal.SIGTERM),
        ("wait", signal.SIGINT, -signal.SIGINT),
        ("wait", signal.SIGUSR1, -signal.SIGUSR1),
    ],
)
def test_signal_reaches_the_job(served, action, signum, code):
    job = served.start(action)
    pid = first_line(job)["pid"]
    job.send_signal(signum)
    output, errors = job.communicate(timeout=SECONDS)
    assert job.returncode == code
    assert output == ("stopped\n" if action == "handle" else "")
    assert ("stopped by SIGINT" in errors) == (signum == signal.SIGINT)
    assert not is_alive(pid)


def test_stopped_client_stops_its_job(served):
    job = served.start("wait")
    pid = first_line(job)["pid"]

    def state() -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    job.send_signal(signal.SIGTSTP)
    wait_until(lambda: state() == "T")
    job.send_signal(signal.SIGCONT)
    wait_until(lambda: state() == "S")
    assert job.poll() is None


def test_killed_client_takes_its_job_along(served):
    jobs = [served.start("wait") for _ in range(3)]
    pids = [first_line(job)["pid"] for job in jobs]
    jobs[1].kill()
    jobs[1].wait(SECONDS)
    # The next job starts only after the end of the killed one.
    following = served.start("exit", "0")
    assert first_line(following)["is_fork"]
    assert [is_alive(pid) for pid in pids] == [True, False, True]


def test_job_of_a_killed_server_runs_by_itself(served):
    job = served.start("handle")
    forked = first_line(job)
    os.kill(served.server(), signal.SIGKILL)
    again = first_line(job)
    assert (forked["is_fork"], again["is_fork"]) == (True, False)
    assert again["pid"] == job.pid
    # It had closed its files before, which is within its end.
    wait_until(lambda: not is_alive(forked["pid"]))
    job.send_signal(signal.SIGTERM)
    assert job.wait(SECONDS) == 128 + signal.SIGTERM


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_job_outlives_snakemake(served, signum):
    job, server = served.start("handle"), served.server()
    pid = first_line(job)["pid"]
    served.snakemake.send_signal(signum)
    served.snakemake.wait(SECONDS)
    later = served.start("exit", "4")
    assert not first_line(later)["is_fork"]
    assert is_alive(pid)
    assert is_alive(server)
    job.send_signal(signal.SIGTERM)
    assert job.wait(SECONDS) == 128 + signal.SIGTERM
    wait_until(lambda: not is_alive(server))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_ended_server_finishes_its_jobs(served, signum):
    job, server = served.start("handle"), served.server()
    first_line(job)
    os.kill(server, signum)
    wait_until(lambda: not first_line(served.start("exit", "0"))["is_fork"])
    assert job.poll() is None
    job.send_signal(signal.SIGTERM)
    assert job.wait(SECONDS) == 128 + signal.SIGTERM
    wait_until(lambda: not is_alive(server))


def test_server_ends_with_snakemake(served):
    served.start("exit", "0").communicate(timeout=SECONDS)
    server = served.server()
    served.snakemake.communicate("", timeout=SECONDS)
    assert served.snakemake.returncode == 0
    assert not is_alive(server)


def test_served_modules_exist():
    for module in SERVED_MODULES:
        assert PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py").is_file()
