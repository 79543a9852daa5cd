"""A training longer than its time limit: a chain of short jobs, and the bytes of one long job."""

import json
import math

from tests.cluster.conftest import TIMEOUT_SECONDS, Sweep
from tests.cluster.test_faults_on_a_cluster import LONG

RUN = "custom/tiny_cnn/r24/seed0"
METRICS = f"results/runs/{RUN}/metrics.json"
SHORT = {"sweep": {"resolutions": [24]}, "training": {"epochs": 20}}
LIMIT = {"set-resources": {"train_run": {"runtime": 2, "slurm_extra": "'--signal=TERM@30'"}}}
"""Two minutes, which SLURM shortens: its signal comes 30 to 90 seconds before they are over."""
SECONDS = 175
"""A job of the chain trains for 84 at most, so that two are not enough."""


def lasting(sweep: Sweep) -> dict:
    """A training that takes SECONDS here, or more: as many epochs as there would be if each took what the fastest does."""
    sweep.write(merged(SHORT)).run(METRICS, here=True)
    epochs = json.loads((sweep.path / METRICS).with_name("timing.json").read_text())["epochs"]
    fastest = min(epoch["epoch_seconds"] for epoch in epochs)
    return merged(SHORT | {"training": {"epochs": math.ceil(SECONDS / fastest)}})


def merged(change: dict) -> dict:
    return {name: LONG.get(name, {}) | change.get(name, {}) for name in LONG | change}


def test_a_chain_of_short_jobs_ends_with_the_bytes_of_one_long_job(slurm, tmp_path):
    here, there = Sweep(tmp_path / "here", slurm), Sweep(tmp_path / "there", slurm)
    long = lasting(here)
    there.write(long, LIMIT)
    one, before = here.write(long).start(METRICS, here=True), set(slurm.ended())
    there.run(METRICS)
    assert one.wait(TIMEOUT_SECONDS) == 0, here.said()
    links = [job for job in slurm.ended() if job not in before]
    assert len(links) >= 3 + 2, links  # two jobs prepare
    assert "resuming in epoch" in (there.path / f"logs/train/{RUN}.log").read_text()
    assert there.results() == here.results()
    assert slurm.jobs() == []
