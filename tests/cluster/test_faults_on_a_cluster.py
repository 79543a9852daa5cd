"""What goes wrong on a cluster: the sweep ends with the results of one that nothing happened to, and leaves no job behind."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import TIMEOUT_SECONDS, Sweep

# Two trainings of some fifteen seconds, saved about twice a second.
LONG = {
    "data": {"reef": {"train": 256}},
    "training": {"epochs": 100, "batch_size": 8},
    "explainability": {"enabled": False},
    "system": {"training": {"save_every_seconds": 0.2}},
}
TRAINING = "rule_train_run"


@pytest.fixture(scope="module")
def undisturbed(slurm, tmp_path_factory) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed") / "sweep", slurm).write(LONG)
    sweep.run("tables", here=True)
    return sweep


@pytest.fixture
def sweep(undisturbed, tmp_path) -> Sweep:
    """The same sweep before its first training; what was prepared and profiled is there."""
    copy = undisturbed.copy(tmp_path / "sweep")
    for name in ("runs", "checkpoints", "tables"):
        shutil.rmtree(copy.path / "results" / name)
    return copy


@pytest.fixture
def ends_well(undisturbed, slurm) -> Callable[[Sweep], None]:
    """Asserts that the tables are those of the undisturbed sweep, and that no job is left."""

    def judge(sweep: Sweep) -> None:
        assert sweep.results() == undisturbed.results()
        assert slurm.jobs() == []
        assert states(sweep) == []
        assert "Nothing to be done" in sweep.run("tables")

    return judge


def states(sweep: Sweep) -> list[Path]:
    return list(
        sweep.path.glob("results/.state/train/custom/tiny_cnn/r*/seed0/first/state*.pt")
    )


def trains(sweep: Sweep, snakemake: subprocess.Popen) -> str:
    """The number of a job whose training has saved its state."""
    sweep.slurm.wait_for(lambda: snakemake.poll() is not None or states(sweep), TIMEOUT_SECONDS)
    assert snakemake.poll() is None, sweep.said()
    resolution = states(sweep)[0].parts[-4].removeprefix("r")
    return sweep.slurm.running(f"{TRAINING}_wildcards_custom_tiny_cnn_{resolution}_0")[0]


def finish(sweep: Sweep, snakemake: subprocess.Popen) -> None:
    assert snakemake.wait(TIMEOUT_SECONDS) == 0, sweep.said()


def logs(sweep: Sweep) -> str:
    return "".join(path.read_text() for path in sweep.path.glob("logs/train/**/*.log"))


def test_a_training_that_somebody_cancels_goes_on_in_another_job(sweep, slurm, ends_well):
    snakemake = sweep.start("tables")
    job = trains(sweep, snakemake)
    slurm.tell("scancel", job)
    finish(sweep, snakemake)
    assert slurm.ended()[job]["JobState"] == "CANCELLED"
    assert "resuming in epoch" in logs(sweep)
    ends_well(sweep)


def test_a_training_that_takes_too_much_memory_is_given_more(sweep, slurm, ends_well):
    sweep.write(LONG, {"set-resources": {"train_run": {"mem_mb": "400 * attempt**2"}}})
    sweep.run("tables")
    told = [
        path.read_text() for path in sweep.path.glob(".snakemake/slurm_logs/**/*.log")
    ]  # of the jobs that failed
    assert len(told) == 2
    assert all("exceeded memory limit" in each for each in told)
    ends_well(sweep)


def test_a_controller_may_be_away_for_a_while(sweep, slurm, ends_well):
    snakemake = sweep.start("tables")
    trains(sweep, snakemake)
    slurm.restart_controller(away_seconds=15)
    finish(sweep, snakemake)
    ends_well(sweep)


def test_a_drained_node_ends_its_jobs_and_takes_no_others_until_it_is_back(
    sweep, slurm, ends_well
):
    snakemake = sweep.start("tables")
    trains(sweep, snakemake)
    slurm.tell("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=test")
    slurm.wait_for(lambda: slurm.node_state() == "drained", TIMEOUT_SECONDS)
    assert slurm.running() == []
    slurm.wait_for(slurm.jobs, TIMEOUT_SECONDS)
    slurm.tell("scontrol", "update", "NodeName=n1", "State=RESUME")
    finish(sweep, snakemake)
    ends_well(sweep)


def test_interrupted_snakemake_takes_its_jobs_along_and_goes_on_later(sweep, slurm, ends_well):
    snakemake = sweep.start("tables")
    trains(sweep, snakemake)
    snakemake.send_signal(signal.SIGINT)
    assert snakemake.wait(TIMEOUT_SECONDS) != 0
    slurm.wait_for(lambda: not slurm.jobs(), TIMEOUT_SECONDS)
    sweep.run("tables")
    assert "resuming in epoch" in logs(sweep)
    ends_well(sweep)


def test_jobs_of_a_killed_snakemake_are_waited_for_and_nothing_is_trained_twice(
    sweep, slurm, ends_well
):
    snakemake = sweep.start("tables")
    trains(sweep, snakemake)
    snakemake.kill()
    snakemake.wait()
    assert slurm.running(TRAINING), "the jobs went with Snakemake, which they do not"
    sweep.run("--unlock")
    sweep.run("tables")
    assert "resuming in epoch" not in logs(sweep)
    ends_well(sweep)
