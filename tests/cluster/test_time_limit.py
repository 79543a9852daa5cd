"""A training longer than its time limit: a chain of short jobs writes the bytes of one long job."""

import json
import math

from tests.cluster.conftest import Sweep
from tests.cluster.test_faults import OVERLAY, RESUMED

RUN = "custom/tiny_cnn/r24/seed0"
METRICS = f"results/runs/{RUN}/metrics.json"
# Two minutes, of which SLURM takes some: its signal comes 30 to 90 seconds before their end.
LIMIT = {"set-resources": {"train_run": {"runtime": 2, "slurm_extra": "'--signal=TERM@30'"}}}
TRAINING_SECONDS = 110
"""A job of the chain trains for 84 s at most, so one is not enough."""


def overlay_with(epochs: int) -> dict:
    training = {**OVERLAY["training"], "epochs": epochs}
    return {**OVERLAY, "sweep": {"resolutions": [24]}, "training": training}


def count_epochs(sweep: Sweep) -> int:
    """Return epochs for TRAINING_SECONDS or more, by the fastest epoch of a short training."""
    sweep.write(overlay_with(epochs=20)).run(METRICS, local=True)
    timing = json.loads((sweep.path / METRICS).with_name("timing.json").read_text())
    fastest = min(epoch["epoch_seconds"] for epoch in timing["epochs"])
    return math.ceil(TRAINING_SECONDS / fastest)


def test_chain_of_short_jobs_equals_one_long_job(slurm, tmp_path):
    local, cluster = Sweep(tmp_path / "local", slurm), Sweep(tmp_path / "cluster", slurm)
    overlay = overlay_with(count_epochs(local))
    cluster.write(overlay, LIMIT)
    before = set(slurm.ended())
    long_job = local.write(overlay).start(METRICS, local=True)
    cluster.run(METRICS)
    local.finish(long_job)
    jobs = slurm.ended().keys() - before
    assert len(jobs) >= 2 + 2, jobs  # two jobs prepare the data
    assert RESUMED in (cluster.path / f"logs/train/{RUN}.log").read_text()
    assert cluster.results() == local.results()
    assert slurm.jobs() == []
