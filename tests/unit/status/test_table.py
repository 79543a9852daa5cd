"""Where a sweep stands, told from directories as Snakemake and its jobs leave them; and that Snakemake does leave them so."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from snakemake.persistence.file import FilePersistence
from typer.testing import CliRunner

from resomap.cli import app
from resomap.config.load import build_config, merge
from resomap.status import snakemake_files
from resomap.status.jobs import JobKey, JobStatus, read_jobs
from resomap.status.summary import SweepStatus, read_status
from resomap.status.table import status_lines
from resomap.system.files import write_json, write_text
from resomap.system.locks import try_lock
from resomap.workflow.layout import JobState
from resomap.workflow.resources import PLAN, plan_settings

ROOT = Path(__file__).parents[2]
TINY = ("custom", "tiny_cnn", 24, 0)
METRICS = {"status": "ok", "reason": None, "environment": {"device": "cpu", "processes": 1}}
EPOCHS = "train:  64%|#####\r          epoch 1/8: loss 1.9\ntrain: 0%|\r          epoch 2/8: loss 1.0\ntrain:  12%|#\r"


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(jobs: tuple[JobStatus, ...], stage: str, place: tuple = TINY) -> JobStatus:
    return next(
        job
        for job in jobs
        if job.stage == stage
        and all(
            own in (none, wanted)
            for own, none, wanted in zip(job.key, JobKey(), place, strict=True)
        )
    )


@pytest.fixture
def sweep(config):
    """Leave what jobs leave."""

    def job(stage: str, place: tuple) -> JobStatus:
        return find(read_jobs(config, "none"), stage, place)

    def finish(stage: str, place: tuple = TINY, took: float = 60.0, **metrics) -> None:
        done = job(stage, place)
        write_json(done.output, METRICS | metrics)
        write_json(done.output.with_name("timing.json"), {"train_seconds": took})
        write_json(
            snakemake_files.SNAKEMAKE_FOLDER
            / "metadata"
            / snakemake_files.record_name(str(done.output)),
            {"starttime": 1e9, "endtime": 1e9 + took},
        )

    def log(stage: str, text: str, place: tuple = TINY) -> None:
        write_text(job(stage, place).log, text)

    def give_out(stage: str, place: tuple = TINY, since: float = 1e9) -> None:
        mark = (
            snakemake_files.SNAKEMAKE_FOLDER
            / "incomplete"
            / snakemake_files.record_name(str(job(stage, place).output))
        )
        write_json(mark, {"external_jobid": None})
        os.utime(mark, (since, since))

    return SimpleNamespace(finish=finish, log=log, give_out=give_out)


def told(status: SweepStatus) -> str:
    return "\n".join(status_lines(status))


STATES: list[tuple[JobState, bool, str | None, bool, snakemake_files.SnakemakeState]] = [
    ("waiting", False, None, False, "here"),
    ("done", True, "epoch 8/8: loss 1\n", False, "here"),
    ("queued", False, None, True, "here"),
    ("running", False, "", True, "here"),
    ("running", False, "", True, "elsewhere"),
    ("interrupted", False, "", True, "none"),
    ("interrupted", True, "", True, "killed"),
    (
        "interrupted",
        False,
        "stopped by SIGTERM; the state is saved, and the same command goes on from there\n",
        False,
        "here",
    ),
    ("failed", False, "Traceback\nRuntimeError: no\n", False, "none"),
    ("failed", False, "", False, "here"),
]


@pytest.mark.parametrize(
    "stage", ["train", "evaluate", "profile", "resize", "summarise", "report"]
)
@pytest.mark.parametrize(("state", "made", "log", "given_out", "driver"), STATES)
def test_a_job_is_what_its_output_its_log_and_its_mark_say(
    config, sweep, stage, state, made, log, given_out, driver
):
    if made:
        sweep.finish(stage)
    if log is not None:
        sweep.log(stage, log)
    if given_out:
        sweep.give_out(stage)
    jobs = read_jobs(config, driver)
    assert find(jobs, stage).state == state
    assert [job.stage for job in jobs if job.state != "waiting"] == [stage] * (
        state != "waiting"
    )


def test_a_training_whose_lock_is_held_runs_whoever_started_it(config, sweep):
    sweep.log("train", EPOCHS)
    with try_lock(Path("results/.state/train/custom/tiny_cnn/r24/seed0/lock")):
        status = read_status(config)
    assert find(status.jobs, "train").state == "running"
    assert "  train tiny_cnn 24 px seed 0: 2 of 8 epochs, since " in told(status)


def test_one_cause_of_many_failures_is_told_once_with_a_log_to_look_at(config, sweep):
    for seed in (0, 1):
        sweep.log(
            "train",
            "epoch 1/8: loss 2\nTraceback (most recent call last):\nerror: vgg: too little memory\n",
            ("custom", "tiny_cnn", 48, seed),
        )
    sweep.log("evaluate", "")
    write_text(
        Path("results/.state/train/custom/tiny_cnn/r48/seed1/first/state00000001.abc.pt"), ""
    )
    text = told(read_status(config))
    assert (
        "  train tiny_cnn 48 px seed 0 and 1 more: error: vgg: too little memory\n"
        "    logs/train/custom/tiny_cnn/r48/seed0.log; 1 saved state to resume from\n"
        "  evaluate tiny_cnn 24 px seed 0: its log is empty\n"
    ) in text


def test_what_was_interrupted_tells_how_far_it_came_and_whether_it_goes_on_from_there(
    config, sweep
):
    sweep.log("train", EPOCHS)
    for stage in ("train", "explain"):
        sweep.give_out(stage)
    write_text(
        Path("results/.state/train/custom/tiny_cnn/r24/seed0/first/state00000002.abc.pt"), ""
    )
    text = told(read_status(config))
    assert "  train tiny_cnn 24 px seed 0: after 2 of 8 epochs, its state is saved\n" in text
    assert "  explain tiny_cnn 24 px seed 0: it starts again\n" in text


def test_runs_without_a_result_are_named_with_the_reason(config, sweep):
    for seed in (0, 1):
        sweep.finish(
            "train",
            ("custom", "tiny_cnn", 24, seed),
            status="diverged",
            reason="the loss is not finite at step 7",
        )
    assert (
        "ended without a result\n  diverged: tiny_cnn 24 px seed 0 and 1 more (the loss is not finite at step 7)"
        in told(read_status(config))
    )


def test_a_long_list_is_cut(config, sweep):
    for stage in ("train", "evaluate", "explain"):
        for model in ("tiny_cnn", "simple_cnn"):
            for seed in (0, 1):
                for resolution in (24, 48):
                    sweep.give_out(stage, ("custom", model, resolution, seed))
    assert told(read_status(config)).count("it starts again\n") == 12
    assert "  and 12 more\n" in told(read_status(config))


def test_stages_that_a_sweep_does_not_have_are_not_told(defaults):
    config = build_config(
        merge(defaults, {"explainability": {"enabled": False}, "mlflow": {"enabled": True}})
    )
    stages = {job.stage for job in read_jobs(config, "none")}
    assert not stages & {"explain", "compare"}
    assert "track" in stages


def test_hours_are_those_of_finished_jobs_times_their_gpus(config, sweep):
    sweep.finish("train", took=3600.0, environment={"device": "NVIDIA H100", "processes": 2})
    sweep.finish("explain", took=360.0)
    sweep.finish("profile", took=-0.01)  # as Snakemake records it on a cluster
    status = read_status(config)
    assert status.hours == pytest.approx({"train": 2.0, "explain": 0.1})
    assert (
        "used: 2.10 GPU hours of finished jobs (train 2.00, explain 0.10; Snakemake recorded no times for profile)"
        in told(status)
    )


def planned(config, seconds: float) -> None:
    """A plan in which every training takes so long, and any other job a tenth."""
    architecture = next(
        model for model in config.models if model.name == "tiny_cnn"
    ).model_dump(mode="json")
    beside = dict.fromkeys(("evaluate", "explain", "profile"), seconds / 10)
    cell = {
        "status": "ok",
        "model": "tiny_cnn",
        "architecture": architecture,
        "wall_seconds": seconds,
        "other_wall_seconds": beside,
    }
    write_json(
        PLAN,
        {
            "settings": plan_settings(config),
            "cells": [{**cell, "resolution": side} for side in (24, 48)],
        },
    )


def test_the_time_left_is_the_plans_over_the_jobs_that_run_at_once(config, sweep):
    planned(config, 1000.0)
    sweep.finish("train")
    for stage in ("evaluate", "explain"):
        sweep.give_out(stage, since=1e9)
        sweep.log(stage, "")
    jobs = read_jobs(config, "here")
    status = SweepStatus(config, "here", jobs, now=1e9 + 30)
    # 3 trainings, 4 of evaluate and of explain, a profile; two have run for 30 s. 1 more model is unplanned: 13 jobs, and 9 of other stages.
    assert status.remaining.seconds == pytest.approx(3 * 1000 + 9 * 100 - 2 * 30)
    assert (status.remaining.planned, status.remaining.averaged) == (12, 0)
    assert (
        "remaining: at least 32 min with 2 jobs at once, as now (an estimate: 12 jobs from the plan, 22 jobs not counted)"
        in told(status)
    )


def test_without_a_plan_finished_jobs_of_the_same_model_and_resolution_tell(config, sweep):
    sweep.finish("train", ("custom", "tiny_cnn", 24, 0), took=80.0)
    left = read_status(config).remaining
    assert (left.seconds, left.averaged) == (80.0, 1)
    sweep.finish(
        "train", ("custom", "tiny_cnn", 48, 0), took=2.0, status="diverged", reason="early"
    )
    assert read_status(config).remaining.averaged == 1


def test_a_plan_of_another_recipe_tells_nothing(config, defaults):
    planned(config, 1000.0)
    other = build_config(merge(defaults, {"training": {"epochs": 99}}))
    assert read_status(config).remaining.planned > 0
    assert read_status(other).remaining.planned == 0
    assert "remaining: unknown" in told(read_status(other))


def test_a_lock_that_outlived_its_snakemake_is_told_from_one_that_is_held_elsewhere(config):
    assert snakemake_files.find_snakemake() == "none"
    write_text(snakemake_files.SNAKEMAKE_FOLDER / "locks" / "0.output.lock", "results/x\n")
    write_text(
        snakemake_files.SNAKEMAKE_FOLDER / "log" / "2026-01-01T000000.000000.snakemake.log",
        f"SNAKEMAKE\n  Host: {socket.gethostname()}\n",
    )
    assert snakemake_files.find_snakemake() == "killed"
    assert "snakemake --unlock" in told(read_status(config))
    write_text(
        snakemake_files.SNAKEMAKE_FOLDER / "log" / "2026-01-02T000000.000000.snakemake.log",
        "SNAKEMAKE\n  Host: another.cluster\n",
    )
    assert snakemake_files.find_snakemake() == "elsewhere"


@given(
    st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=400).filter(
        lambda text: "/" not in text
    )
)
def test_marks_and_records_lie_where_snakemake_puts_them(output):
    theirs = FilePersistence.__new__(FilePersistence)
    theirs._max_len = snakemake_files.MAX_NAME_BYTES
    assert theirs._record_path("folder", output) == str(
        "folder" / snakemake_files.record_name(output)
    )


SNAKEFILE = """
rule all:
    input: "{long}", "results/broken"

rule long:
    output: "results/{{name}}.txt"
    log: "logs/{{name}}.log"
    shell: "(sleep 1; find .snakemake/incomplete -type f; ls .snakemake/locks; {python} -c '{program}') > {{output}} 2> {{log}}"

rule broken:
    output: "results/broken"
    log: "logs/broken.log"
    shell: "echo error: it broke 2> {{log}} >&2; exit 3"
"""


def test_snakemake_leaves_what_is_read_here(directory):
    long = f"results/{'/'.join(map(str, range(100)))}.txt"
    program = (
        "from resomap.status.snakemake_files import find_snakemake; print(find_snakemake())"
    )
    write_text(
        directory / "Snakefile",
        SNAKEFILE.format(long=long, python=sys.executable, program=program),
    )
    snakemake = str(Path(sys.executable).parent / "snakemake")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [snakemake, "--cores", "1", "--keep-going"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert set(Path(long).read_text().split()) == {
        f".snakemake/incomplete/{snakemake_files.record_name(long)}",
        "0.input.lock",
        "0.output.lock",
        "here",
    }
    assert (
        snakemake_files.submission_time(long)
        == snakemake_files.submission_time("results/broken")
        == 0.0
    )
    record = snakemake_files.read_record(long)
    assert record["rule"] == "long"
    assert 1.0 < record["endtime"] - record["starttime"] < 60.0
    assert not Path("results/broken").exists()
    assert Path("logs/broken.log").read_text() == "error: it broke\n"
    assert snakemake_files._last_host(snakemake_files.SNAKEMAKE_FOLDER) == socket.gethostname()


def ask(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["status", *arguments])
    return f"{result.exit_code} {result.output}"


def test_the_command_speaks_of_the_sweep_that_ran_here_unless_it_is_told_of_another(defaults):
    assert "2 models x 3 resolutions x 2 seeds" in ask()
    write_text(Path("results/run_config.yaml"), yaml.safe_dump(defaults))
    assert "2 models x 2 resolutions x 2 seeds" in ask()
    write_text(Path("mine.yaml"), "sweep: {seeds: [0, 1, 2]}\n")
    assert "2 models x 3 resolutions x 3 seeds" in ask("--configfile", "mine.yaml")
    write_text(Path("results/run_config.yaml"), "sweep: {}\n")
    assert ask().startswith("1 error: results/run_config.yaml, which another version wrote: ")
    assert "--configfile" in ask()


def test_status_loads_nothing_that_is_slow():
    program = "import sys, resomap.cli; print(*sorted({'torch', 'pandas', 'matplotlib', 'scipy', 'snakemake'} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []
