"""Jobs of a sweep that SLURM holds back for ever, as `squeue` lists them."""

import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from resomap.cluster.nodes import Partitions, parse_minutes, read_partitions, run_slurm
from resomap.cluster.requests import GROUPS, JobRequest, explain

GRACE_SECONDS = 60
"""Age from which a waiting job is judged: SLURM needs a while for its final reason."""
FIELDS = (
    *("JobID", "Reason", "State", "Partition", "NumCPUs", "MinMemory", "TimeLimit"),
    *("tres-per-job", "tres-per-node", "SubmitTime", "Comment", "WorkDir"),
)
FORMAT = ",".join(f"{field}:|" for field in FIELDS)
NEVER = re.compile(
    r"PartitionConfig|Partition(Node|Time)Limit|BadConstraints|DependencyNeverSatisfied"
    r"|InvalidAccount|InvalidQOS|AccountNotAllowed|QOSNotAllowed|JobHeld(Admin|User)"
    r"|(Assoc|QOS)(Grp|Max|Min)\w*(PerJob|PerNode|WallDuration\w*|PerTask)"
    r"|(Assoc|QOS)Grp(?!\w*Run)\w*Minutes\w*|QOSMin\w+|(Assoc|QOS)\w*Usage\w*"
    r"|Partition(Down|Inactive)|ReservationDeleted|JobHoldMaxRequeue|launch.failed.requeued.held",
    re.IGNORECASE,
)
"""Reasons that no end of another job removes."""
LIMIT = re.compile(r"(Assoc|QOS)\w*", re.IGNORECASE)
"""Limits that are shared, by the jobs of a user or of an account."""


class HeldJob(NamedTuple):
    """A waiting job: its number, SLURM's reason, what it requests, and its wildcards.

    `shared` means that the reason is a limit which other jobs may use up.
    """

    number: str
    reason: str
    request: JobRequest
    wildcards: str
    shared: bool

    def __str__(self) -> str:
        name = f"{self.request.rule} {self.wildcards}".strip()
        return f"{name} (SLURM job {self.number}, {self.reason})"


def read_held_jobs(
    folder: Path | None = None, grace_seconds: float = GRACE_SECONDS
) -> list[HeldJob]:
    """Return the jobs submitted from `folder` (default: here) that can never start as they are.

    Empty on a machine without SLURM.
    """
    command = ("squeue", "--noheader", f"--user={os.getuid()}", f"--Format={FORMAT}")
    return parse_held_jobs(run_slurm(command), folder or Path.cwd(), grace_seconds)


def parse_held_jobs(
    listing: str, folder: Path, grace_seconds: float = GRACE_SECONDS
) -> list[HeldJob]:
    """Return the jobs of `folder` in the output of squeue that can never start."""
    rows = [dict(zip(FIELDS, fields, strict=False)) for fields in _rows(listing)]
    mine = [row for row in rows if Path(row["WorkDir"]).resolve() == folder.resolve()]
    # A shared limit is usual where own jobs use it up: they end, and the next ones start.
    some_run = any(row["State"] in ("RUNNING", "COMPLETING") for row in rows)
    held = []
    for row in mine:
        reason, is_limit = row["Reason"], False
        if not NEVER.search(reason):
            is_limit = LIMIT.match(reason) is not None and not some_run
            if not is_limit:
                continue
        if row["State"] == "PENDING" and _age(row["SubmitTime"]) >= grace_seconds:
            rule, wildcards = _split_comment(row["Comment"])
            held.append(HeldJob(row["JobID"], reason, _request(row, rule), wildcards, is_limit))
    return held


def _rows(listing: str) -> Iterator[list[str]]:
    for line in listing.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) == len(FIELDS) + 1:  # each field ends with the separator
            yield fields


def _age(submitted: str) -> float:
    try:
        return (datetime.now() - datetime.fromisoformat(submitted)).total_seconds()
    except ValueError:
        return float("inf")


def _split_comment(comment: str) -> tuple[str, str]:
    """Return rule and wildcards: Snakemake's plugin writes `rule_NAME_wildcards_A_B`."""
    rule, _, wildcards = comment.removeprefix("rule_").partition("_wildcards_")
    return rule, wildcards


def _request(row: dict[str, str], rule: str) -> JobRequest:
    tres = f"{row['tres-per-job']},{row['tres-per-node']}"
    minutes = parse_minutes(row["TimeLimit"])
    return JobRequest(
        rule=rule,
        cores=int(row["NumCPUs"]) if row["NumCPUs"].isdigit() else 1,
        memory_mb=_megabytes(row["MinMemory"]),
        minutes=round(minutes) if minutes < float("inf") else 0,
        gpus=_count("gpu", tres),
        shards=_count("shard", tres),
        partition=row["Partition"],
        is_group=rule in GROUPS,
        own_cores=rule != "train_run",
    )


def _megabytes(text: str) -> int:
    match = re.fullmatch(r"([\d.]+)([KMGT]?)", text)
    if match is None:
        return 0
    factor = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[match[2]]
    return round(float(match[1]) * factor)


def _count(name: str, tres: str) -> int:
    """Return the number in `gres:gpu:2` or `gres:gpu:h100:2`, which is 1 where it is missing."""
    numbers = [
        re.search(r":(\d+)$", token) for token in re.findall(rf"gres:{name}\b([^,]*)", tres)
    ]
    return sum(int(number[1]) if number else 1 for number in numbers)


def describe_held(job: HeldJob, partitions: Partitions | None = None) -> list[str]:
    """Return what the job requests and what to change, a line each."""
    known = read_partitions() if partitions is None else partitions
    lines = [f"it requests {job.request}"]
    if job.reason.startswith("JobHeld"):
        return [*lines, f"it is held: scontrol release {job.number}"]
    if "minutes" in job.reason.lower():
        lines.append("the account or QOS has too few minutes left: use another, or less time")
    elif job.shared:
        lines.append(
            "a limit of your account or QOS is used up by other jobs, or lower than the request"
        )
    return [*lines, *explain(job.reason, job.request, known)]


def describe_held_jobs(jobs: Iterable[HeldJob]) -> list[list[str]]:
    """Return the lines about each kind of held job: its name, what it requests, what to change."""
    groups = dict[tuple[str, str, JobRequest], list[HeldJob]]()
    for job in jobs:
        groups.setdefault((job.request.rule, job.reason, job.request), []).append(job)
    entries = []
    for first, *others in groups.values():
        more = f" and {len(others):,} more" if others else ""
        entries.append([f"{first}{more}", *describe_held(first)])
    return entries
