"""The partitions of a SLURM cluster and what their nodes have, as `sinfo` lists them."""

import math
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

NODES_VARIABLE = "RESOMAP_SLURM_NODES"
"""Environment variable in which jobs get the list of the process that submits them."""
LONGEST_VARIABLE = 60_000
QUERY_SECONDS = 30
"""A controller that is busy or away must not hold up a sweep or its status."""
# --exact: else different nodes are one line, with their smallest numbers.
COMMAND = ("sinfo", "--all", "--noheader", "--exact", "--format=%P|%l|%c|%m|%G|%f")
GRES = re.compile(r"(\w+)(?::[^:,()]+)?:(\d+)")
CLUSTER_NAMES = ("cluster", "clusters", "slurm_cluster")
"""Resources that send a job to another cluster than that of sinfo."""
UNSET_MB = 1
"""Memory that SLURM assumes for nodes whose memory is not configured."""


class NodeKind(NamedTuple):
    """What each of several equal nodes has; infinite where SLURM does not know."""

    cores: float
    memory_mb: float
    gpus: int
    shards: int
    features: frozenset[str]


class Limits(NamedTuple):
    """The most that one job can get: on a node, and of time."""

    cores: float = math.inf
    memory_mb: float = math.inf
    minutes: float = math.inf


@dataclass(frozen=True)
class Partition:
    """A partition, its longest time limit, and its kinds of nodes."""

    name: str
    minutes: float
    is_default: bool
    nodes: tuple[NodeKind, ...]


Partitions = Mapping[str, Partition]


def read_partitions() -> Partitions:
    """Return the partitions by name; none on a machine without SLURM, or if it does not answer."""
    return parse_partitions(_read_listing())


@cache
def _read_listing() -> str:
    # Once in a process: the request of a job is computed again whenever jobs are selected.
    listing = os.environ.get(NODES_VARIABLE)
    if listing is None:
        listing = run_slurm(COMMAND)
        # Jobs count their cores as the process that submits them, and send the controller no query.
        if listing and len(listing) < LONGEST_VARIABLE:
            os.environ[NODES_VARIABLE] = listing
    return listing


def run_slurm(command: Iterable[str]) -> str:
    """Return the output of a command of SLURM; blank if it is missing, fails or does not answer."""
    try:
        done = subprocess.run(
            list(command),
            # Sites set these to formats of their own.
            env={**os.environ, "SLURM_TIME_FORMAT": "standard"},
            capture_output=True,
            text=True,
            timeout=QUERY_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


@cache
def parse_partitions(listing: str) -> Partitions:
    """Return the partitions in the output of `COMMAND`; lines of another form are skipped."""
    partitions = dict[str, Partition]()
    for line in listing.splitlines():
        fields = line.strip().split("|")
        if len(fields) != 6 or not fields[2][:1].isdigit():
            continue
        name, is_default = fields[0].removesuffix("*"), fields[0].endswith("*")
        known = partitions.get(name, Partition(name, 0.0, is_default, ()))
        minutes = max(known.minutes, parse_minutes(fields[1]))
        nodes = (*known.nodes, _parse_node(*fields[2:]))
        partitions[name] = Partition(name, minutes, is_default, nodes)
    return partitions


def _parse_node(cores: str, memory: str, gres: str, features: str) -> NodeKind:
    counts = dict.fromkeys(("gpu", "shard"), 0)
    for name, count in GRES.findall(gres):
        counts[name] = counts.get(name, 0) + int(count)
    memory_mb = _leading_number(memory)
    return NodeKind(
        cores=_leading_number(cores),
        memory_mb=memory_mb if memory_mb > UNSET_MB else math.inf,
        gpus=counts["gpu"],
        shards=counts["shard"],
        features=frozenset(re.split(r"[,&|()]+", features)) - {"", "null"},
    )


def _leading_number(text: str) -> float:
    number = re.match(r"\d+", text)
    return float(number[0]) if number else math.inf


def parse_minutes(text: str) -> float:
    """Return the minutes of a time as SLURM writes it: `30:00`, `1-12:00:00`, `infinite`."""
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text)
    if match is None:
        return math.inf
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + minutes + seconds / 60


def select_partitions(partitions: Partitions, names: str) -> list[Partition]:
    """Return the partitions that a job may run in: those in `names`, by comma, or the default one."""
    if names:
        return [partitions[name] for name in names.split(",") if name in partitions]
    return [partition for partition in partitions.values() if partition.is_default]


def select_nodes(
    partitions: Iterable[Partition], constraint: str = "", gpus: int = 0, shards: int = 0
) -> list[NodeKind]:
    """Return the kinds of nodes with a feature and as many GPUs.

    Of a constraint that combines features nothing is concluded.
    """
    feature = constraint if re.fullmatch(r"[\w.-]*", constraint) else ""
    return [
        node
        for partition in partitions
        for node in partition.nodes
        if node.gpus >= gpus
        and node.shards >= shards
        and (not feature or feature in node.features)
    ]


@cache
def find_limits(listing: str, names: str = "", constraint: str = "", gpus: int = 0) -> Limits:
    """Return the most that one job can get in its partitions; infinite where it is not known."""
    partitions = parse_partitions(listing)
    allowed = select_partitions(partitions, names)
    nodes = select_nodes(allowed, constraint, gpus)
    if not nodes:
        return Limits()
    return Limits(
        cores=max(node.cores for node in nodes),
        memory_mb=max(node.memory_mb for node in nodes),
        minutes=max(partition.minutes for partition in allowed),
    )


def site_limits(workflow: Any, rule: str, gpus: int = 0) -> Limits:
    """Return the most that a job of `rule` can get, in the partition that the profile gives it.

    `workflow` is Snakemake's, whose settings hold those of the profile.
    """

    def site(name: str) -> str:
        return _site_value(workflow.resource_settings, rule, name)

    if is_unknown_to_sinfo(workflow, {name: site(name) for name in CLUSTER_NAMES}):
        return Limits()
    limits = find_limits(_read_listing(), site("slurm_partition"), site("constraint"), gpus)
    if site("qos") or executor_setting(workflow, "qos"):
        return limits._replace(minutes=math.inf)
    return limits


def is_unknown_to_sinfo(workflow: Any, values: Mapping[str, Any]) -> bool:
    """Return whether jobs go to another cluster, or to a partition that the plugin chooses."""
    elsewhere = any(values.get(name) for name in CLUSTER_NAMES)
    return elsewhere or bool(executor_setting(workflow, "partition_config"))


def executor_setting(workflow: Any, name: str) -> Any:
    """Return an option of Snakemake's plugin for SLURM; None within a job, which has another."""
    return getattr(workflow.executor_settings, name, None)


def _site_value(settings: Any, rule: str, name: str) -> str:
    """Return a resource of a rule as it is written in the profile; blank without one."""
    for given in (settings.overwrite_resources.get(rule), settings.default_resources):
        # Snakemake returns a resource without a value for one that is not there.
        value = given.get(name) if given else None
        text = getattr(value, "raw", value)
        if text is not None:
            return str(text).strip("'\"")
    return ""
