from pathlib import Path

import pytest

from resomap.config.load import build_config, merge
from resomap.status.jobs import has_saved_state, read_jobs, read_progress
from resomap.system.files import write_text
from resomap.system.locks import try_lock
from tests.unit.status.conftest import find_job

EPOCHS = (
    "train:  64%|#####\r          epoch 1/8: loss 1.9\n"
    "train: 0%|\r          epoch 2/8: loss 1.0\ntrain:  12%|#\r"
)
STOPPED = "stopped by SIGTERM; the state is saved\n"
STATES = [
    ("waiting", False, None, False, "here"),
    ("done", True, "epoch 8/8: loss 1\n", False, "here"),
    ("queued", False, None, True, "here"),
    ("running", False, "", True, "here"),
    ("running", False, "", True, "elsewhere"),
    ("interrupted", False, "", True, "none"),
    ("interrupted", True, "", True, "killed"),
    ("interrupted", False, STOPPED, False, "here"),
    ("failed", False, "Traceback\nRuntimeError: no\n", False, "none"),
    ("failed", False, "", False, "here"),
]


@pytest.mark.parametrize(
    "stage", ["train", "evaluate", "profile", "resize", "summarise", "report"]
)
@pytest.mark.parametrize(("state", "finished", "log", "submitted", "snakemake"), STATES)
def test_job_state_follows_output_log_and_mark(
    config, traces, stage, state, finished, log, submitted, snakemake
):
    if finished:
        traces.finish(stage)
    if log is not None:
        traces.log(stage, log)
    if submitted:
        traces.submit(stage)
    jobs = read_jobs(config, snakemake)
    assert find_job(jobs, stage).state == state
    others = [job.stage for job in jobs if job.state != "waiting"]
    assert others == ([] if state == "waiting" else [stage])


def test_training_with_lock_owner_runs_without_snakemake(config, traces):
    with try_lock(Path("results/.state/train/custom/tiny_cnn/r24/seed0/lock")):
        job = find_job(read_jobs(config, "none"), "train")
    assert job.state == "running"
    assert job.since > 0
    assert find_job(read_jobs(config, "none"), "train").state == "failed"


def test_jobs_follow_the_enabled_stages(defaults):
    change = {"explainability": {"enabled": False}, "mlflow": {"enabled": True}}
    jobs = read_jobs(build_config(merge(defaults, change)), "none")
    stages = {job.stage for job in jobs}
    assert not stages & {"explain", "compare", "identify"}
    assert "track" in stages


def test_saved_state_is_found(config):
    job = find_job(read_jobs(config, "none"), "train")
    assert not has_saved_state(job)
    write_text(
        Path("results/.state/train/custom/tiny_cnn/r24/seed0/first/state00000002.abc.pt"), ""
    )
    assert has_saved_state(job)


def test_progress_is_read_from_the_log(tmp_path):
    log = tmp_path / "log"
    assert read_progress(log) is None
    log.write_text(EPOCHS)
    assert read_progress(log) == (2, 8)
