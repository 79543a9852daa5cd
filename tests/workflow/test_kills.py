"""Processes that are killed for real: what comes out in the end is what would have come out without a kill."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
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
METRICS, WEIGHTS = (
    f"results/runs/{RUN}/metrics.json",
    f"results/checkpoints/{RUN}/best.safetensors",
)
# About fifteen seconds of training, saved about twice a second: an orphan lives until its successor asks for it.
LONG = {
    "data": {"reef": {"train": 256}},
    "training": {"epochs": 100, "batch_size": 8, "save_top_k": 2},
    "system": {"device": "cpu", "training": {"save_every_seconds": 0.2}},
}


def outputs(checkout: Checkout) -> dict[str, Any]:
    """All that a training leaves, times aside."""
    metrics = json.loads((checkout.path / METRICS).read_text())
    told = {
        name: metrics[name]
        for name in ("job", "status", "scores", "learning_rate", "micro_batch")
    }
    kept = {path.name: path.read_bytes() for path in (checkout.path / WEIGHTS).parent.iterdir()}
    return {
        **told,
        **kept,
        "history": (checkout.path / METRICS).with_name("history.csv").read_bytes(),
    }


def forget(checkout: Checkout) -> None:
    """Remove what the training left, as if it had never been."""
    for folder in ("results/runs", "results/checkpoints", "results/.state", "logs/train"):
        subprocess.run(["rm", "-rf", str(checkout.path / folder)], check=True)


@pytest.fixture(scope="module")
def prepared(copy, tmp_path_factory) -> Checkout:
    checkout = copy(tmp_path_factory.mktemp("kills") / "resomap")
    done = checkout.snakemake("results/data/r24/train.npy", overlay=LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


@pytest.fixture(scope="module")
def undisturbed(prepared) -> dict[str, Any]:
    assert start(prepared).wait(TIMEOUT_SECONDS) == 0
    found = outputs(prepared)
    forget(prepared)
    return found


@pytest.fixture
def training(prepared, undisturbed) -> Iterator[Checkout]:
    yield prepared
    forget(prepared)


def start(checkout: Checkout, processes: int = 1) -> subprocess.Popen:
    """The training as its rule runs it, a shorter one in several processes; its log is train.log."""
    (checkout.path / "short.yaml").write_text("training: {epochs: 20}\n")
    own = ["mine.yaml"] if processes == 1 else ["mine.yaml", "short.yaml"]
    config = load_config(
        checkout.path / "config", [checkout.path / name for name in (SMOKE, *own)]
    )
    job = build_job(
        config, jobs.Train, family="custom", model="tiny_cnn", resolution="24", seed="0"
    )
    files = {
        name: f"results/runs/{RUN}/{name}"
        for name in ("metrics.json", "history.csv", "timing.json")
    }
    arguments = {
        "job": job.to_json(),
        "data": "results/data/manifest.json",
        "weights": WEIGHTS,
        "threads": 1,
    }
    arguments |= {Path(name).stem: path for name, path in files.items()}
    runtime = config.system.training.model_copy(update={"gpus": processes})
    arguments |= {"state": f"results/.state/train/{RUN}", "runtime": runtime.model_dump_json()}
    options = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    with (checkout.path / "train.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "resomap.entry.train", *options],
            cwd=checkout.path,
            stderr=log,
        )


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


def kill_somewhere(
    checkout: Checkout, signum: int, moment: random.Random, processes: int = 1
) -> int:
    """Start the training, end it by a signal a moment after it began to train; its exit code, which is 0 where it was too fast."""
    process, log = start(checkout, processes), checkout.path / "train.log"
    until(lambda: process.poll() is not None or "epoch" in log.read_text(), "the first epoch")
    time.sleep(moment.uniform(0, 0.6))
    process.send_signal(signum)
    return process.wait(TIMEOUT_SECONDS)


def tells(log: Path, words: str) -> bool:
    with suppress(FileNotFoundError):  # Snakemake removes it before it starts the job
        return words in log.read_text()
    return False


COUNTS = [2, pytest.param(20, marks=pytest.mark.faults)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_over_and_over_ends_with_the_same_bytes(
    training, undisturbed, signum, count
):
    moment, kills = random.Random(count), 0
    expected = -signal.SIGKILL if signum == signal.SIGKILL else 128 + signum
    while kills < count:
        code = kill_somewhere(training, signum, moment)
        if code == 0:  # it was done before so many kills: once more from the start
            assert outputs(training) == undisturbed
            forget(training)
            continue
        assert code == expected, (training.path / "train.log").read_text()
        kills += 1
    assert start(training).wait(TIMEOUT_SECONDS) == 0
    assert "resuming in epoch" in (training.path / "train.log").read_text()
    assert outputs(training) == undisturbed
    assert list(training.path.glob("results/**/.tmp*")) == []


def test_a_training_in_two_processes_is_ended_and_goes_on_too(training):
    assert start(training, 2).wait(TIMEOUT_SECONDS) == 0
    undisturbed = outputs(training)
    forget(training)
    assert kill_somewhere(training, signal.SIGTERM, random.Random(0), 2) != 0
    assert "stopped by SIGTERM" in (training.path / "train.log").read_text()
    assert start(training, 2).wait(TIMEOUT_SECONDS) == 0
    assert "resuming in epoch" in (training.path / "train.log").read_text()
    assert outputs(training) == undisturbed


def snakemake(checkout: Checkout, *arguments: str) -> subprocess.Popen:
    command = [
        str(Path(sys.executable).parent / "snakemake"),
        METRICS,
        *arguments,
        "--configfile",
        SMOKE,
        "mine.yaml",
    ]
    return subprocess.Popen(
        command, cwd=checkout.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.mark.parametrize("count", [1, pytest.param(5, marks=pytest.mark.faults)])
def test_the_orphan_of_a_killed_snakemake_is_waited_for_and_its_work_is_published(
    training, undisturbed, count
):
    moment, log = random.Random(count), training.path / f"logs/train/{RUN}.log"
    for _ in range(count):
        first = snakemake(training)
        until(lambda: log.exists() and "epoch 1/" in log.read_text(), "the first epoch")
        time.sleep(moment.uniform(0, 2))
        first.kill()
        first.wait(TIMEOUT_SECONDS)
        orphan = json.loads((training.path / f"results/.state/train/{RUN}/lock").read_text())[
            "pid"
        ]
        os.kill(
            orphan, signal.SIGSTOP
        )  # on a busy machine it would be done before its successor asks
        assert snakemake(training, "--unlock").wait(TIMEOUT_SECONDS) == 0
        second = snakemake(training)
        until(partial(tells, log, f"waiting for process {orphan} on "), "the successor")
        os.kill(orphan, signal.SIGCONT)
        assert second.wait(TIMEOUT_SECONDS) == 0
        told = log.read_text()
        assert "going on" not in told, "the successor trained what the orphan was training"
        assert outputs(training) == undisturbed
        assert not (training.path / "results/.state").exists()
        forget(training)
