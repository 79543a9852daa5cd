"""After faults on the cluster, a sweep has the results of an undisturbed one and leaves no job.

Two of the tests end with the trainings, which they are about; the others make the tables as well.
"""

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import TIMEOUT_SECONDS, Sweep

# Two trainings of some fifteen seconds, saved about twice a second.
OVERLAY = {
    "data": {"reef": {"train": 256}},
    "training": {"epochs": 100, "batch_size": 8},
    "explainability": {"enabled": False},
    "system": {"training": {"save_every_seconds": 0.2}},
}
TRAINING = "rule_train_run"
RESUMED = "resuming in epoch"


@pytest.fixture(scope="module")
def undisturbed(slurm, tmp_path_factory) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed") / "sweep", slurm).write(OVERLAY)
    sweep.run("tables", local=True)
    return sweep


@pytest.fixture
def sweep(undisturbed, tmp_path) -> Sweep:
    """The same sweep before its first training, with its data and profiles."""
    copy = undisturbed.copy(tmp_path / "sweep")
    for name in ("runs", "checkpoints", "tables"):
        shutil.rmtree(copy.path / "results" / name)
    return copy


@pytest.fixture
def check_end(undisturbed, slurm) -> Callable[..., None]:
    """A function that compares a sweep with the undisturbed one and checks that no job is left."""

    def check(sweep: Sweep, target: str = "tables") -> None:
        expected = undisturbed.results()
        if target == "train":
            expected = {path: value for path, value in expected.items() if is_of_training(path)}
        assert sweep.results() == expected
        assert slurm.jobs() == []
        assert saved_states(sweep) == []
        assert "Nothing to be done" in sweep.run(target)

    return check


def is_of_training(path: str) -> bool:
    return path.endswith((".safetensors", "/history.csv"))


def saved_states(sweep: Sweep) -> list[Path]:
    states = "results/.state/train/custom/tiny_cnn/r*/seed0/first/state*.pt"
    return list(sweep.path.glob(states))


def wait_for_saved_state(sweep: Sweep, snakemake: subprocess.Popen) -> str:
    """Return the number of a job whose training has saved its state."""
    sweep.slurm.wait_for(
        lambda: snakemake.poll() is not None or saved_states(sweep), TIMEOUT_SECONDS
    )
    assert snakemake.poll() is None, sweep.output()
    resolution = saved_states(sweep)[0].parts[-4].removeprefix("r")
    return sweep.slurm.running(f"{TRAINING}_wildcards_custom_tiny_cnn_{resolution}_0")[0]


def training_logs(sweep: Sweep) -> str:
    return "".join(path.read_text() for path in sweep.path.glob("logs/train/**/*.log"))


def test_cancelled_training_resumes_in_another_job(sweep, slurm, check_end):
    snakemake = sweep.start("train")
    job = wait_for_saved_state(sweep, snakemake)
    slurm.call("scancel", job)
    sweep.finish(snakemake)
    assert slurm.ended()[job]["JobState"] == "CANCELLED"
    assert RESUMED in training_logs(sweep)
    check_end(sweep, "train")


def test_training_short_of_memory_is_retried_with_more(sweep, slurm, check_end):
    sweep.write(OVERLAY, {"set-resources": {"train_run": {"mem_mb": "400 * attempt**2"}}})
    sweep.run("train")
    failed = list(sweep.path.glob(".snakemake/slurm_logs/**/*.log"))
    assert len(failed) == 2
    assert all("exceeded memory limit" in path.read_text() for path in failed)
    check_end(sweep, "train")


def test_sweep_survives_a_controller_restart(sweep, slurm, check_end):
    snakemake = sweep.start("tables")
    wait_for_saved_state(sweep, snakemake)
    slurm.restart_controller(away_seconds=15)
    sweep.finish(snakemake)
    check_end(sweep)


def test_drained_node_gets_no_job_until_it_resumes(sweep, slurm, check_end):
    snakemake = sweep.start("tables")
    wait_for_saved_state(sweep, snakemake)
    slurm.call("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=test")
    slurm.wait_for(lambda: slurm.node_state() == "drained", TIMEOUT_SECONDS)
    assert slurm.running() == []
    slurm.wait_for(slurm.jobs, TIMEOUT_SECONDS)
    slurm.call("scontrol", "update", "NodeName=n1", "State=RESUME")
    sweep.finish(snakemake)
    check_end(sweep)


def test_interrupted_snakemake_cancels_its_jobs(sweep, slurm, check_end):
    snakemake = sweep.start("tables")
    wait_for_saved_state(sweep, snakemake)
    snakemake.send_signal(signal.SIGINT)
    assert snakemake.wait(TIMEOUT_SECONDS) != 0
    slurm.wait_for(lambda: not slurm.jobs(), TIMEOUT_SECONDS)
    sweep.run("tables")
    assert RESUMED in training_logs(sweep)
    check_end(sweep)


def test_jobs_of_killed_snakemake_are_waited_for(sweep, slurm, check_end):
    snakemake = sweep.start("tables")
    wait_for_saved_state(sweep, snakemake)
    snakemake.kill()
    snakemake.wait()
    assert slurm.running(TRAINING), "the jobs ended with Snakemake"
    sweep.run("--unlock")
    sweep.run("tables")
    assert RESUMED not in training_logs(sweep)
    check_end(sweep)
