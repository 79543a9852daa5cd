import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from resomap.cli import app
from resomap.cluster.queue import parse_held_jobs
from resomap.commands.status import redraw
from resomap.config.schema import Config
from resomap.status.jobs import JobKey, read_jobs
from resomap.status.summary import SweepStatus, read_status
from resomap.status.table import status_lines
from resomap.system.files import write_text
from resomap.system.locks import try_lock
from tests.unit.cluster.test_queue import row as slurm_row
from tests.unit.status.test_jobs import EPOCHS

ROOT = Path(__file__).parents[3]
STATES = Path("results/.state/train/custom/tiny_cnn")


def status_text(status: SweepStatus | Config) -> str:
    if isinstance(status, Config):
        status = read_status(status)
    return "\n".join(status_lines(status))


def test_running_training_shows_its_epochs(config, traces):
    traces.log("train", EPOCHS)
    with try_lock(STATES / "r24/seed0/lock"):
        status = read_status(config)
    assert "  train tiny_cnn 24 px seed 0: 2 of 8 epochs, since " in status_text(status)


def test_failures_of_one_cause_are_one_entry(config, traces):
    log = "epoch 1/8: loss 2\nTraceback (most recent call last):\nerror: too little memory\n"
    for seed in (0, 1):
        traces.log("train", log, JobKey("custom", "tiny_cnn", 48, seed))
    traces.log("evaluate", "")
    traces.log("report", "error: no\n")
    write_text(STATES / "r48/seed1/first/state00000001.abc.pt", "")
    assert (
        "  train tiny_cnn 48 px seed 0 and 1 more: error: too little memory\n"
        "    logs/train/custom/tiny_cnn/r48/seed0.log; 1 saved state to resume from\n"
        "  evaluate tiny_cnn 24 px seed 0: its log is empty\n"
        "    logs/evaluate/custom/tiny_cnn/r24/seed0.log\n"
        "  report: error: no\n"
    ) in status_text(config)


def test_interrupted_jobs_show_progress_and_saved_state(config, traces):
    traces.log("train", EPOCHS)
    for stage in ("train", "explain"):
        traces.submit(stage)
    write_text(STATES / "r24/seed0/first/state00000002.abc.pt", "")
    text = status_text(config)
    assert "  train tiny_cnn 24 px seed 0: after 2 of 8 epochs, its state is saved\n" in text
    assert "  explain tiny_cnn 24 px seed 0: it starts again\n" in text


def test_runs_without_result_show_the_reason(config, traces):
    reason = "the loss is not finite at step 7"
    for seed in (0, 1):
        key = JobKey("custom", "tiny_cnn", 24, seed)
        traces.finish("train", key, status="diverged", reason=reason)
    entry = f"ended without a result\n  diverged: tiny_cnn 24 px seed 0 and 1 more ({reason})"
    assert entry in status_text(config)


def test_long_list_is_cut(config, traces):
    keys = [
        JobKey("custom", model, resolution, seed)
        for model in ("tiny_cnn", "simple_cnn")
        for seed in (0, 1)
        for resolution in (24, 48)
    ]
    for stage in ("train", "evaluate", "explain"):
        for key in keys:
            traces.submit(stage, key)
    text = status_text(config)
    assert text.count("it starts again\n") == 12
    assert "  and 12 more\n" in text


def test_used_hours_name_stages_without_times(config, traces):
    environment = {"device": "NVIDIA H100", "processes": 2}
    traces.finish("train", seconds=3600.0, environment=environment)
    traces.finish("explain", seconds=360.0)
    traces.finish("profile", seconds=-0.01)
    assert (
        "Finished jobs took 2.1 GPU hours (train 2.0, explain 0.1; "
        "Snakemake recorded no times for profile)."
    ) in status_text(config)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (9.0, "Finished jobs took 9 core seconds (train 9)."),
        (756.0, "Finished jobs took 12.6 core minutes (train 12.6)."),
        (7200.0, "Finished jobs took 2.0 core hours (train 2.0)."),
    ],
)
def test_time_is_in_the_unit_that_reads_best(config, traces, seconds, words):
    traces.finish("train", seconds=seconds)
    assert words in status_text(config)


def test_finished_and_stopped_sweeps_differ(config, traces):
    assert "Snakemake is not running.\n" in status_text(config)
    traces.finish("train")
    stopped = read_status(config)
    line = "Snakemake is not running. The command that started the sweep continues it.\n"
    assert line in status_text(stopped)
    finished = replace(stopped, jobs=tuple(stopped.select("", "done")))
    assert "Snakemake is not running. Every job is done.\n" in status_text(finished)


def test_jobs_that_slurm_holds_back_are_named(config, directory):
    held = parse_held_jobs(slurm_row("BadConstraints", directory), directory)
    status = SweepStatus(config, "here", read_jobs(config, "here"), held=tuple(held))
    assert (
        "in SLURM's queue, but cannot start\n"
        "  train_run custom_tiny_cnn_24_0 (SLURM job 7, BadConstraints)\n"
        "    it requests 8 cores, 8,192 MB, 240 minutes, 1 GPU in partition main\n"
    ) in status_text(status)


def test_remaining_time_is_divided_by_running_jobs(config, traces):
    assert "Remaining time: not known until " in status_text(config)
    traces.plan(1000.0)
    traces.finish("train")
    for stage in ("evaluate", "explain"):
        traces.submit(stage, since=1e9)
        traces.log(stage, "")
    status = SweepStatus(config, "here", read_jobs(config, "here"), now=1e9 + 30)
    assert (
        "Remaining time: at least 32 min with 2 jobs at once, as now (estimated for "
        "12 jobs from the plan; without 22 jobs of unknown length)."
    ) in status_text(status)


def run_status(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["status", *arguments])
    return f"{result.exit_code} {result.output}"


def test_command_shows_last_sweep_or_the_given_one(defaults):
    assert "2 models x 3 resolutions x 2 seeds" in run_status()
    write_text(Path("results/run_config.yaml"), yaml.safe_dump(defaults))
    assert "2 models x 2 resolutions x 2 seeds" in run_status()
    write_text(Path("mine.yaml"), "sweep: {seeds: [0, 1, 2]}\n")
    assert "2 models x 3 resolutions x 3 seeds" in run_status("--configfile", "mine.yaml")
    write_text(Path("results/run_config.yaml"), "sweep: {}\n")
    assert run_status().startswith("1 error: results/run_config.yaml")
    assert "--configfile" in run_status()


def test_command_loads_no_slow_module(tmp_path):
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from resomap.cli import app\n"
        "app(['status'], standalone_mode=False)\n"
        "slow = {'torch', 'pandas', 'matplotlib', 'scipy', 'snakemake'}\n"
        "print('loaded', *(slow & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1].split() == ["loaded"]


def test_watch_prints_each_change_until_snakemake_ends(config, defaults, traces, monkeypatch):
    write_text(Path("results/run_config.yaml"), yaml.safe_dump(defaults))
    states = iter(["here", "here", "none"])
    monkeypatch.setattr("resomap.status.summary.find_snakemake", lambda: next(states))
    text = run_status("--watch", "0.2")
    assert text.startswith("0 ")
    assert [text.count(f"Snakemake is {word}running.") for word in ("", "not ")] == [1, 1]


def test_watch_on_a_terminal_shows_the_last_view(capsys):
    redraw(iter(["first", "second"]))
    assert capsys.readouterr().out.strip() == "second"


def test_seconds_without_watch_are_refused():
    assert run_status("3") == "1 error: 3 seconds between two views need --watch\n"
