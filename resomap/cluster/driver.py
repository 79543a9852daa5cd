"""What the process that submits a sweep to SLURM checks and watches.

Before the first submission every request is compared with the partitions; a submission that is
refused ends the sweep instead of being sent again; jobs that can never start are named.
"""

import atexit
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from getpass import getuser
from shutil import which
from threading import Event, Thread
from typing import Any

from resomap.cluster.nodes import (
    Partitions,
    executor_setting,
    is_unknown_to_sinfo,
    read_partitions,
    run_slurm,
)
from resomap.cluster.queue import GRACE_SECONDS, HeldJob, describe_held_jobs, read_held_jobs
from resomap.cluster.refusals import find_refusal
from resomap.cluster.requests import JobRequest, explain, find_excesses, read_request
from resomap.errors import ConfigError
from resomap.text import format_count

REFUSALS: dict[tuple[str, str], str] = {}
"""The message of each refusal in this process by rule and reason, printed again when it ends."""


def watch_cluster(workflow: Any) -> None:
    """Check the requests of all jobs, stop at a refusal, and name jobs that can never start.

    `workflow` is Snakemake's, with its scheduler. ConfigError if requests exceed the partitions.
    """
    if not workflow.non_local_exec or which("sbatch") is None:
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    qos = executor_setting(workflow, "qos")
    known = [job for job in jobs if not is_unknown_to_sinfo(workflow, job.resources)]
    requests = [read_request(job) for job in known]
    if qos:
        requests = [replace(request, qos=str(qos)) for request in requests]
    check_requests(requests, read_partitions())
    if jobs:
        executor = workflow.scheduler.get_executor(jobs[0])
        stop_at_refusal(workflow, executor)
        cancel_by_name(executor)
    Thread(target=name_held_jobs, daemon=True).start()


def check_requests(requests: Iterable[JobRequest], partitions: Partitions) -> None:
    """Raise ConfigError with a line for each request that no node of its partition can meet."""
    counts = Counter[tuple[str, str]]()
    for request, count in Counter(requests).items():
        for excess in find_excesses(request, partitions):
            counts[request.rule, str(excess)] += count
    if counts:
        raise ConfigError(
            "\n".join(
                ["SLURM could start none of these jobs; nothing was submitted:"]
                + [
                    f"  {rule} ({format_count(count, 'job')}): {excess}"
                    for (rule, excess), count in counts.items()
                ]
            )
        )


def stop_at_refusal(workflow: Any, executor: Any) -> None:
    """Let the executor end the sweep when SLURM refuses a job: submitted jobs finish."""
    report_job_error = executor.report_job_error

    # Replaced in the executor, since what Snakemake logs of a group holds no message of SLURM.
    def report(job_info: Any, msg: str | None = None, **details: Any) -> None:
        reason = find_refusal(msg or "")
        if reason:
            # Snakemake would send it `retries` times again, each time with a larger request.
            workflow.execution_settings.retries = 0
            request = read_request(job_info.job)
            _report_refusal(_name(job_info.job), reason, request)
        report_job_error(job_info, msg=msg, **details)
        if reason:
            workflow.scheduler.exit_gracefully()

    executor.report_job_error = report


def cancel_by_name(executor: Any) -> None:
    """Let the executor cancel every job of this sweep when Snakemake is interrupted."""
    name, cancel = getattr(executor, "run_uuid", None), executor.cancel

    # Its own list of jobs is empty while it queries SLURM: an interrupt at such a moment left all of
    # them running.
    def cancel_all() -> None:
        cancel()
        run_slurm(("scancel", f"--user={getuser()}", f"--name={name}"))

    if name:
        executor.cancel = cancel_all


def _name(job: Any) -> str:
    if job.is_group():
        return f"a group of {format_count(len(job), 'job')} ({job.name})"
    return f"{job.name} {' '.join(job.wildcards_dict.values())}".strip()


def _report_refusal(name: str, reason: str, request: JobRequest) -> None:
    # Of one rule usually every job is refused, for the same reason.
    if (request.rule, reason) in REFUSALS:
        return
    if not REFUSALS:
        atexit.register(_repeat_refusals)  # Snakemake prints much until it ends
    partitions = read_partitions()
    lines = [f"error: SLURM refused {name}: {reason}", f"  it requests {request}"]
    lines += [f"  {line}" for line in explain(reason, request, partitions)]
    lines.append(
        "  Nothing more is submitted. Jobs in the queue finish first (Ctrl-C cancels them); then "
        "change the request and run the same command."
    )
    REFUSALS[request.rule, reason] = "\n".join(lines)
    print(REFUSALS[request.rule, reason], file=sys.stderr, flush=True)


def _repeat_refusals() -> None:
    for text in REFUSALS.values():
        print(text, file=sys.stderr, flush=True)


def name_held_jobs(
    read: Callable[[], list[HeldJob]] = read_held_jobs,
    stopped: Event | None = None,
    seconds: float = GRACE_SECONDS,
) -> None:
    """Print each job that can never start once, until `stopped` is set; checks every minute."""
    stopped, named = stopped or Event(), set[tuple[str, str]]()
    while not stopped.wait(seconds):
        jobs = [job for job in read() if (job.number, job.reason) not in named]
        named |= {(job.number, job.reason) for job in jobs}
        for name, *details in describe_held_jobs(jobs):
            lines = [f"warning: {name} cannot start", *(f"  {line}" for line in details)]
            print("\n".join(lines), file=sys.stderr, flush=True)
