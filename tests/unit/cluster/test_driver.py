from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from resomap.cluster import driver
from resomap.cluster.driver import (
    cancel_by_name,
    check_requests,
    name_held_jobs,
    stop_at_refusal,
    watch_cluster,
)
from resomap.cluster.nodes import parse_partitions
from resomap.cluster.queue import HeldJob, parse_held_jobs
from resomap.cluster.requests import JobRequest
from resomap.errors import ConfigError
from tests.unit.cluster.conftest import LISTING, snakemake_job
from tests.unit.cluster.test_queue import row
from tests.unit.cluster.test_refusals import GENERAL, REPORT

REFUSED = REPORT.format(
    "sbatch: error: Memory specification can not be satisfied\n"
    f"{GENERAL}Requested node configuration is not available"
)


class RecordedWorkflow:
    """What the driver uses of Snakemake's workflow, its executor and its scheduler."""

    def __init__(self, *jobs: Any) -> None:
        self.non_local_exec = True
        self.dag = SimpleNamespace(needrun_jobs=lambda: jobs)
        self.executor_settings = SimpleNamespace()
        self.execution_settings = SimpleNamespace(retries=10)
        self.errors: list[str | None] = []
        self.exits = 0
        self.executor = SimpleNamespace(
            report_job_error=self._report, cancel=lambda: None, run_uuid="1-2"
        )
        self.scheduler = SimpleNamespace(
            get_executor=lambda job: self.executor, exit_gracefully=self._exit
        )

    def _report(self, job_info: Any, msg: str | None = None, **details: Any) -> None:
        self.errors.append(msg)

    def _exit(self) -> None:
        self.exits += 1


@pytest.fixture(autouse=True)
def refusals(monkeypatch) -> dict:
    """Refusals of one test, which are not printed again when pytest ends."""
    monkeypatch.setattr(driver, "REFUSALS", {})
    monkeypatch.setattr(driver.atexit, "register", lambda function: None)
    return driver.REFUSALS


def test_requests_beyond_the_partition_stop_the_sweep_before_it_starts():
    partitions = parse_partitions(LISTING)
    large = JobRequest("train_run", memory_mb=64_000)
    requests = [large, large, JobRequest("prepare_data", cores=8), JobRequest("report")]
    with pytest.raises(ConfigError) as error:
        check_requests(requests, partitions)
    assert str(error.value).splitlines()[1:] == [
        "  train_run (2 jobs): no node of partition main has 64,000 MB, only up to 16,000 MB: "
        "set-resources: {train_run: {mem_mb: 16000}} in your profile",
        "  prepare_data (1 job): no node of partition main has 8 cores, only up to 4 cores: "
        "--max-threads 4 on the command line",
    ]
    check_requests(requests[3:], partitions)
    check_requests(requests, {})


def test_refused_job_is_not_retried_and_ends_the_sweep(program, capsys):
    program("sinfo", LISTING)
    workflow = RecordedWorkflow()
    stop_at_refusal(workflow, workflow.executor)
    job = SimpleNamespace(job=snakemake_job(mem_mb=24_000, runtime=240))
    workflow.executor.report_job_error(job, msg=REFUSED)
    assert (workflow.execution_settings.retries, workflow.exits) == (0, 1)
    assert workflow.errors == [REFUSED]
    printed = capsys.readouterr().err
    assert printed.startswith(
        "error: SLURM refused train_run tiny_cnn 0: Memory specification can not be satisfied\n"
        "  it requests 1 core, 24,000 MB, 240 minutes in the default partition\n"
        "  no node of partition main has 24,000 MB, only up to 16,000 MB: "
        "set-resources: {train_run: {mem_mb: 16000}} in your profile\n"
    )
    workflow.executor.report_job_error(job, msg=REFUSED)
    assert capsys.readouterr().err == ""
    assert list(driver.REFUSALS.values()) == [printed.removesuffix("\n")]


def test_refusal_that_sinfo_cannot_explain_names_the_key():
    workflow = RecordedWorkflow()
    stop_at_refusal(workflow, workflow.executor)
    message = REPORT.format(f"{GENERAL}Invalid qos specification")
    workflow.executor.report_job_error(SimpleNamespace(job=snakemake_job()), msg=message)
    (text,) = driver.REFUSALS.values()
    assert "what to change: qos in your profile, under default-resources" in text


@pytest.mark.parametrize(
    "message",
    [
        None,
        "SLURM-job '7' failed, SLURM status is: 'OUT_OF_MEMORY'.",
        REPORT.format("sbatch: error: Unable to contact slurm controller"),
    ],
)
def test_job_that_failed_otherwise_is_retried(message):
    workflow = RecordedWorkflow()
    stop_at_refusal(workflow, workflow.executor)
    workflow.executor.report_job_error(SimpleNamespace(job=snakemake_job()), msg=message)
    assert (workflow.execution_settings.retries, workflow.exits) == (10, 0)
    assert workflow.errors == [message]


def test_cluster_is_watched_only_where_jobs_are_submitted_to_slurm(program, monkeypatch):
    started = list[Any]()
    monkeypatch.setattr(
        driver, "Thread", lambda **_: SimpleNamespace(start=lambda: started.append(1))
    )
    local = RecordedWorkflow(snakemake_job("prepare_data", threads=8))
    watch_cluster(local)  # no sbatch
    program("sbatch")
    program("sinfo", LISTING)
    local.non_local_exec = False
    watch_cluster(local)
    assert started == []
    with pytest.raises(ConfigError, match="prepare_data"):
        watch_cluster(RecordedWorkflow(snakemake_job("prepare_data", threads=8)))
    for fits in (
        snakemake_job("prepare_data", threads=4),
        snakemake_job("prepare_data", threads=8, clusters="other"),
        snakemake_job("train_run", slurm_partition="debug", runtime=60, qos="long"),
    ):
        watch_cluster(RecordedWorkflow(fits))
    assert started == [1, 1, 1]
    allowed = RecordedWorkflow(snakemake_job(slurm_partition="debug", runtime=60))
    allowed.executor_settings.qos = "long"
    watch_cluster(allowed)


def test_held_jobs_are_named_once(tmp_path, capsys):
    listing = row("PartitionConfig", tmp_path) + row("PartitionConfig", tmp_path, number=8)
    jobs, polls, stopped = parse_held_jobs(listing, tmp_path), 0, Event()

    def read() -> list[HeldJob]:
        nonlocal polls
        polls += 1
        if polls == 3:
            stopped.set()
        return jobs

    name_held_jobs(read, stopped, seconds=0.001)
    printed = capsys.readouterr().err
    assert polls == 3
    assert printed.count("cannot start") == 1
    assert printed.startswith(
        "warning: train_run custom_tiny_cnn_24_0 (SLURM job 7, PartitionConfig) and 1 more "
        "cannot start\n  it requests 8 cores, 8,192 MB, 240 minutes, 1 GPU in partition main\n"
    )


def test_interrupt_cancels_jobs_that_the_executor_has_not_listed(monkeypatch):
    called = []
    monkeypatch.setattr(driver, "run_slurm", called.append)
    monkeypatch.setattr(driver, "getuser", lambda: "ada")
    executor = SimpleNamespace(cancel=lambda: called.append("its own list"), run_uuid="1-2")
    cancel_by_name(executor)
    executor.cancel()
    assert called == ["its own list", ("scancel", "--user=ada", "--name=1-2")]


def test_executor_without_a_name_cancels_as_before():
    executor = SimpleNamespace(cancel=len)
    cancel_by_name(executor)
    assert executor.cancel is len
