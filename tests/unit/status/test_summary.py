import pytest

from resomap.config.load import build_config, merge
from resomap.status.jobs import JobKey, read_jobs
from resomap.status.summary import SweepStatus, read_status


def test_hours_are_finished_jobs_times_their_gpus(config, traces):
    environment = {"device": "NVIDIA H100", "processes": 2}
    traces.finish("train", seconds=3600.0, environment=environment)
    traces.finish("explain", seconds=360.0)
    traces.finish("profile", seconds=-0.01)  # as Snakemake records it on a cluster
    status = read_status(config)
    assert status.unit == "GPU"
    assert status.hours == pytest.approx({"train": 2.0, "explain": 0.1})


def test_remaining_work_uses_the_plan(config, traces):
    traces.plan(1000.0)
    traces.finish("train")
    for stage in ("evaluate", "explain"):
        traces.submit(stage, since=1e9)
        traces.log(stage, "")
    status = SweepStatus(config, "here", read_jobs(config, "here"), now=1e9 + 30)
    # Of tiny_cnn 3 trainings, 4 evaluations, 4 explanations and a profile; two have run for 30 s.
    work = status.remaining
    assert work.seconds == pytest.approx(3 * 1000 + 9 * 100 - 2 * 30)
    assert (work.planned, work.averaged, work.unknown) == (12, 0, 22)


def test_remaining_work_uses_finished_jobs_of_the_cell(config, traces):
    traces.finish("train", seconds=80.0)
    work = read_status(config).remaining
    assert (work.seconds, work.averaged) == (80.0, 1)
    other = JobKey("custom", "tiny_cnn", 48, 0)
    traces.finish("train", other, seconds=2.0, status="diverged", reason="early")
    assert read_status(config).remaining.averaged == 1


def test_plan_of_other_settings_is_not_used(config, defaults, traces):
    traces.plan(1000.0)
    other = build_config(merge(defaults, {"training": {"epochs": 99}}))
    assert read_status(config).remaining.planned > 0
    assert read_status(other).remaining.planned == 0
