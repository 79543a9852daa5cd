"""What a job requests of SLURM, which part of it no node has, and the key that lowers it."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from resomap.cluster.nodes import (
    NodeKind,
    Partition,
    Partitions,
    select_nodes,
    select_partitions,
)
from resomap.text import format_count

GROUPS = ("small",)
"""Names of groups of jobs that share an allocation."""
# What a reason of SLURM is about, in its messages and in the column REASON of squeue.
SUBJECTS = (
    ("slurm_account", r"account\b|InvalidAccount|AccountNot"),
    ("qos", r"\bqos\b|InvalidQOS|QOSNot|QOSMin"),
    ("runtime", r"time.?limit|wall|minutes"),
    ("mem_mb", r"mem"),
    ("gpu", r"gres|gpu|tres|shard"),
    ("cores", r"cpu|processor|core"),
    ("constraint", r"feature|constraint"),
    ("nodes", r"PerNode|NodeCount|\bnode count"),
    ("slurm_partition", r"partition"),
)


class Excess(NamedTuple):
    """A part of a request that cannot be met, and what to change."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}"


@dataclass(frozen=True)
class JobRequest:
    """What one job, or one group of jobs, requests; 0 or blank where it requests nothing.

    `own_cores` means that the cores are those of `threads`, which `--max-threads` lowers.
    """

    rule: str
    cores: int = 1
    memory_mb: int = 0
    minutes: int = 0
    gpus: int = 0
    shards: int = 0
    nodes: int = 1
    partition: str = ""
    constraint: str = ""
    qos: str = ""
    is_group: bool = False
    own_cores: bool = True

    def __str__(self) -> str:
        parts = [format_count(self.cores, "core")]
        if self.memory_mb:
            parts.append(f"{self.memory_mb:,} MB")
        if self.minutes:
            parts.append(format_count(self.minutes, "minute"))
        if self.gpus:
            parts.append(format_count(self.gpus, "GPU"))
        if self.shards:
            parts.append(format_count(self.shards, "shard"))
        where = f"partition {self.partition}" if self.partition else "the default partition"
        return f"{', '.join(parts)} in {where}"


def read_request(job: Any) -> JobRequest:
    """Return the request of a job of Snakemake, as its plugin for SLURM submits it."""
    values = job.resources

    def number(*names: str) -> int:
        given = [values.get(name) for name in names]
        return next((value for value in given if isinstance(value, int)), 0)

    # More than in the plugin: tasks and GPUs multiply the cores of each.
    tasks, gpus = max(1, number("tasks")), number("gpu", "gpus", "nvidia_gpu")
    gres = f"{values.get('gres') or ''}"
    if not gpus:
        gpus = _count_gres("gpu", gres)
    own_cores = number("cpus_per_task") <= 0
    cores = tasks * (job.threads if own_cores else number("cpus_per_task"))
    if gpus and own_cores and number("cpus_per_gpu") > 0:
        own_cores, cores = False, gpus * number("cpus_per_gpu")
    return JobRequest(
        rule=job.name,
        cores=cores,
        memory_mb=number("mem_mb_per_cpu") * cores or number("mem_mb"),
        minutes=number("runtime"),
        gpus=gpus,
        shards=_count_gres("shard", gres),
        nodes=max(1, number("nodes")),
        partition=f"{values.get('slurm_partition') or ''}",
        constraint=f"{values.get('constraint') or ''}",
        qos=f"{values.get('qos') or ''}",
        is_group=bool(job.is_group()),
        own_cores=own_cores,
    )


def _count_gres(name: str, gres: str) -> int:
    match = re.search(rf"\b{name}(?:[:=][A-Za-z][^:,=]*)?(?:[:=](\d+))?", gres)
    return int(match[1] or 1) if match else 0


def find_excesses(request: JobRequest, partitions: Partitions) -> list[Excess]:
    """Return what no partition of the request can give; nothing where sinfo does not know it."""
    if not partitions:
        return []
    unknown = [name for name in request.partition.split(",") if name and name not in partitions]
    if unknown:
        listed = ", ".join(sorted(partitions))
        problem = f"partition {unknown[0]} does not exist; sinfo lists {listed}"
        return [Excess(problem, remedy(request, "slurm_partition"))]
    allowed = select_partitions(partitions, request.partition)
    if not allowed or any(_fits(request, partition) for partition in allowed):
        return []
    return list(_compare(request, allowed))


def _fits(request: JobRequest, partition: Partition) -> bool:
    # A QOS may allow more time than its partition.
    if request.minutes > partition.minutes and not request.qos:
        return False
    # Of several nodes each gives a part, which is not known from the request.
    if request.nodes > 1:
        return True
    nodes = select_nodes([partition], request.constraint, request.gpus, request.shards)
    return any(
        node.cores >= request.cores and node.memory_mb >= request.memory_mb for node in nodes
    )


def _compare(request: JobRequest, allowed: list[Partition]) -> Iterator[Excess]:
    """Yield each part of the request that exceeds the largest value in its partitions."""
    where = "partition " + " or ".join(partition.name for partition in allowed)
    nodes = select_nodes(allowed)
    longest = max(partition.minutes for partition in allowed)
    count = 0
    if request.minutes > longest and not request.qos:
        count += 1
        problem = f"{request.minutes:,} minutes exceed the {longest:,.0f} of {where}"
        yield Excess(problem, remedy(request, "runtime", longest))
    for subject, requested, unit in (
        ("gpu", request.gpus, "GPU"),
        ("gres", request.shards, "shard"),
        ("cores", request.cores, "core"),
        ("mem_mb", request.memory_mb, "MB"),
    ):
        largest = _largest(subject, nodes)
        if requested > largest:
            count += 1
            problem = f"{where} has no {unit}"
            if largest:
                problem = f"no node of {where} has {_amount(requested, unit)}, "
                problem += f"only up to {_amount(int(largest), unit)}"
            yield Excess(problem, remedy(request, subject, largest))
    if request.constraint and not select_nodes(allowed, request.constraint):
        count += 1
        features = sorted({feature for node in nodes for feature in node.features})
        problem = f"no node of {where} has the feature {request.constraint}, only "
        problem += ", ".join(features) or "nodes without features"
        yield Excess(problem, remedy(request, "constraint"))
    if not count:
        yield Excess(
            f"no single node of {where} has all of it at once",
            "request less of one, or another partition (slurm_partition)",
        )


def _largest(subject: str, nodes: list[NodeKind]) -> float:
    name = {"gpu": "gpus", "gres": "shards", "cores": "cores", "mem_mb": "memory_mb"}[subject]
    return max(getattr(node, name) for node in nodes)


def _amount(number: int, unit: str) -> str:
    return f"{number:,} MB" if unit == "MB" else format_count(number, unit)


def remedy(request: JobRequest, subject: str, largest: float = math.inf) -> str:
    """Return the key that lowers a part of a request, with the largest value that fits."""
    rule = request.rule
    if request.is_group and subject in ("runtime", "mem_mb"):
        return "fewer jobs per group: --group-components small=2"
    match subject:
        case "cores" if request.own_cores:
            number = "N" if math.isinf(largest) else f"{largest:.0f}"
            return f"--max-threads {number} on the command line"
        case "cores" if rule == "train_run":
            return "lower system.training.num_workers in your configuration"
        case "cores":
            return remedy(request, "cpus_per_task", largest)
        case "gpu" if request.gpus <= 1:
            return (
                f"set-resources: {{{rule}: {{slurm_partition: NAME}}}} in your profile, with a "
                "partition that has GPUs, or system.device: cpu in your configuration"
            )
        case "gpu" if request.gpus > 1:
            return "lower system.training.gpus in your configuration"
        case "gres":
            return "system.slots_per_gpu: 1 in your configuration"
        case "slurm_partition" | "slurm_account" | "qos" | "constraint":
            return (
                f"{subject} in your profile, under default-resources or "
                f"set-resources: {{{rule}: ...}}"
            )
        case _:
            number = "..." if math.isinf(largest) else f"{largest:.0f}"
            return f"set-resources: {{{rule}: {{{subject}: {number}}}}} in your profile"


def explain(reason: str, request: JobRequest, partitions: Partitions) -> list[str]:
    """Return what exceeds the partition and what to change; by SLURM's reason where sinfo knows none."""
    excesses = find_excesses(request, partitions)
    if excesses:
        return list(map(str, excesses))
    subject = next(
        (name for name, pattern in SUBJECTS if re.search(pattern, reason, re.IGNORECASE)),
        "...",
    )
    lines = [f"what to change: {remedy(request, subject)}"]
    allowed = select_partitions(partitions, request.partition)
    if allowed:
        lines.insert(0, f"sinfo shows no excess: {_describe_partitions(allowed)}")
    return lines


def _describe_partitions(allowed: list[Partition]) -> str:
    nodes = select_nodes(allowed)
    largest = {
        "core": _largest("cores", nodes),
        "MB": _largest("mem_mb", nodes),
        "GPU": _largest("gpu", nodes),
    }
    known = [
        _amount(int(number), unit) for unit, number in largest.items() if 0 < number < math.inf
    ]
    names = " or ".join(partition.name for partition in allowed)
    longest = max(partition.minutes for partition in allowed)
    time = "any time" if math.isinf(longest) else f"{longest:,.0f} minutes"
    return f"a node of partition {names} has up to {', '.join(known)}, for {time}"
