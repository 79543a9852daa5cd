"""Trainings killed at random moments end with the same bytes as undisturbed ones."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from resomap.config.load import load_config
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from tests.workflow.conftest import SMOKE, TIMEOUT_SECONDS, Checkout

RUN = "custom/tiny_cnn/r24/seed0"
METRICS = f"results/runs/{RUN}/metrics.json"
RESUMED = "resuming in epoch"
WEIGHTS = f"results/checkpoints/{RUN}/best.safetensors"
# About fifteen seconds of training with two saves per second, so that an orphan still runs when its
# successor starts.
OVERLAY = {
    "data": {"reef": {"train": 256}},
    "training": {"epochs": 100, "batch_size": 8, "save_top_k": 2},
    "system": {"device": "cpu", "training": {"save_every_seconds": 0.2}},
}


def read_outputs(checkout: Checkout) -> dict[str, Any]:
    """Return all outputs of the training but its times."""
    metrics = json.loads((checkout.path / METRICS).read_text())
    names = ("job", "status", "scores", "learning_rate", "micro_batch")
    checkpoints = (checkout.path / WEIGHTS).parent
    return {
        **{name: metrics[name] for name in names},
        **{path.name: path.read_bytes() for path in checkpoints.iterdir()},
        "history": (checkout.path / METRICS).with_name("history.csv").read_bytes(),
    }


def remove_outputs(checkout: Checkout) -> None:
    """Remove what the training wrote."""
    for folder in ("results/runs", "results/checkpoints", "results/.state", "logs/train"):
        shutil.rmtree(checkout.path / folder, ignore_errors=True)


@pytest.fixture(scope="module")
def prepared(copy_to, tmp_path_factory) -> Checkout:
    checkout = copy_to(tmp_path_factory.mktemp("kills") / "resomap")
    done = checkout.snakemake("results/data/r24/train.npy", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


@pytest.fixture(scope="module")
def undisturbed(prepared) -> dict[str, Any]:
    assert start_training(prepared).wait(TIMEOUT_SECONDS) == 0
    outputs = read_outputs(prepared)
    remove_outputs(prepared)
    return outputs


@pytest.fixture
def checkout(prepared, undisturbed) -> Iterator[Checkout]:
    yield prepared
    remove_outputs(prepared)


def start_training(
    checkout: Checkout,
    processes: int = 1,
    num_workers: int = 0,
    program: Sequence[str] = ("-m", "resomap.entry.train"),
) -> subprocess.Popen:
    """Start the training as its rule does, with its log in train.log; fewer epochs in two processes."""
    (checkout.path / "short.yaml").write_text("training: {epochs: 20}\n")
    overlays = [SMOKE, "mine.yaml"]
    if processes > 1:
        overlays.append("short.yaml")
    config = load_config(checkout.path / "config", [checkout.path / name for name in overlays])
    wildcards = {"family": "custom", "model": "tiny_cnn", "resolution": "24", "seed": "0"}
    machine = {"gpus": processes, "num_workers": num_workers}
    runtime = config.system.training.model_copy(update=machine)
    arguments = {
        "job": build_job(config, jobs.Train, **wildcards).to_json(),
        "data": "results/data/manifest.json",
        "weights": WEIGHTS,
        "metrics": METRICS,
        "history": f"results/runs/{RUN}/history.csv",
        "timing": f"results/runs/{RUN}/timing.json",
        "state": f"results/.state/train/{RUN}",
        "runtime": runtime.model_dump_json(),
        "threads": 1,
    }
    options = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    with (checkout.path / "train.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, *program, *options],
            cwd=checkout.path,
            stderr=log,
        )


def wait_until(condition: Callable[[], bool], description: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"no {description} in {TIMEOUT_SECONDS} s"
        time.sleep(0.01)


def kill_in_training(
    checkout: Checkout, signum: int, rng: random.Random, processes: int = 1
) -> int:
    """Start the training, send a signal after its first epoch, and return the exit code.

    The code is 0 if it ended before the signal.
    """
    process, log = start_training(checkout, processes), checkout.path / "train.log"
    wait_until(lambda: process.poll() is not None or "epoch" in log.read_text(), "first epoch")
    time.sleep(rng.uniform(0, 0.6))
    process.send_signal(signum)
    return process.wait(TIMEOUT_SECONDS)


def log_contains(log: Path, words: str) -> bool:
    with suppress(FileNotFoundError):  # Snakemake removes it before it starts the job
        return words in log.read_text()
    return False


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.faults)])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_killed_training_ends_with_the_same_bytes(checkout, undisturbed, signum, count):
    rng, kills = random.Random(count), 0
    expected = -signal.SIGKILL if signum == signal.SIGKILL else 128 + signum
    log = checkout.path / "train.log"
    while kills < count:
        code = kill_in_training(checkout, signum, rng)
        if code == 0:  # it ended before the signal: start again
            assert read_outputs(checkout) == undisturbed
            remove_outputs(checkout)
            continue
        assert code == expected, log.read_text()
        kills += 1
    assert start_training(checkout).wait(TIMEOUT_SECONDS) == 0
    assert RESUMED in log.read_text()
    assert read_outputs(checkout) == undisturbed
    assert list(checkout.path.glob("results/**/.tmp*")) == []


def test_training_in_two_processes_resumes_too(checkout):
    log = checkout.path / "train.log"
    assert start_training(checkout, 2).wait(TIMEOUT_SECONDS) == 0
    undisturbed = read_outputs(checkout)
    remove_outputs(checkout)
    assert kill_in_training(checkout, signal.SIGTERM, random.Random(0), 2) != 0
    assert "stopped by SIGTERM" in log.read_text()
    assert start_training(checkout, 2).wait(TIMEOUT_SECONDS) == 0
    assert RESUMED in log.read_text()
    assert read_outputs(checkout) == undisturbed


def start_snakemake(checkout: Checkout, *arguments: str) -> subprocess.Popen:
    command = [str(Path(sys.executable).parent / "snakemake"), METRICS, *arguments]
    return subprocess.Popen(
        [*command, "--configfile", SMOKE, "mine.yaml"],
        cwd=checkout.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("count", [1, pytest.param(5, marks=pytest.mark.faults)])
def test_orphan_of_killed_snakemake_publishes_its_results(checkout, undisturbed, count):
    rng, log = random.Random(count), checkout.path / f"logs/train/{RUN}.log"
    lock = checkout.path / f"results/.state/train/{RUN}/lock"
    for _ in range(count):
        first = start_snakemake(checkout)
        wait_until(partial(log_contains, log, "epoch 1/"), "first epoch")
        time.sleep(rng.uniform(0, 2))
        first.kill()
        first.wait(TIMEOUT_SECONDS)
        orphan = json.loads(lock.read_text())["pid"]
        # Paused, as on a busy machine it could end before its successor waits for it.
        os.kill(orphan, signal.SIGSTOP)
        assert start_snakemake(checkout, "--unlock").wait(TIMEOUT_SECONDS) == 0
        second = start_snakemake(checkout)
        wait_until(partial(log_contains, log, f"process {orphan} on "), "successor")
        os.kill(orphan, signal.SIGCONT)
        assert second.wait(TIMEOUT_SECONDS) == 0
        assert RESUMED not in log.read_text(), "the successor trained too"
        assert read_outputs(checkout) == undisturbed
        assert not (checkout.path / "results/.state").exists()
        remove_outputs(checkout)
