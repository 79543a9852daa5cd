from datetime import datetime, timedelta
from pathlib import Path

import pytest

from resomap.cluster.nodes import parse_partitions
from resomap.cluster.queue import (
    describe_held,
    describe_held_jobs,
    parse_held_jobs,
    read_held_jobs,
)
from tests.unit.cluster.conftest import LISTING

COMMENT = "rule_train_run_wildcards_custom_tiny_cnn_24_0"


def row(
    reason: str,
    folder: Path,
    *,
    state: str = "PENDING",
    age: float = 90.0,
    number: int = 7,
    comment: str = COMMENT,
    devices: str = "gres:gpu:1|N/A",
) -> str:
    """Return a line of squeue 22.05."""
    since = (datetime.now() - timedelta(seconds=age)).isoformat(timespec="seconds")
    return (
        f"{number}|{reason}|{state}|main|8|8G|4:00:00|{devices}|{since}|{comment}|{folder}|\n"
    )


@pytest.mark.parametrize(
    "reason",
    [
        "PartitionConfig",
        "PartitionTimeLimit",
        "BadConstraints",
        "AssocMaxCpuPerJobLimit",
        "QOSMaxMemoryPerJob",
        "QOSMaxWallDurationPerJobLimit",
        "InvalidQOS",
        "InvalidAccount",
        "JobHeldUser",
        "DependencyNeverSatisfied",
        "AssocGrpGRES",
        "AssocGrpMemLimit",
        "QOSMaxCpuPerUserLimit",
        "AssocGrpCPUMinutesLimit",
        "AssociationResourceLimit",
        "QOSUsageThreshold",
        "ReservationDeleted",
        "PartitionDown",
    ],
)
def test_job_that_cannot_start_is_held(tmp_path, reason):
    (job,) = parse_held_jobs(row(reason, tmp_path), tmp_path)
    assert (job.number, job.reason, job.wildcards) == ("7", reason, "custom_tiny_cnn_24_0")
    assert str(job.request) == "8 cores, 8,192 MB, 240 minutes, 1 GPU in partition main"


@pytest.mark.parametrize(
    "reason", ["Priority", "Resources", "Dependency", "None", "ReqNodeNotAvail", "Licenses"]
)
def test_job_that_waits_for_its_turn_is_not_held(tmp_path, reason):
    assert parse_held_jobs(row(reason, tmp_path), tmp_path) == []


def test_other_folders_young_jobs_and_running_jobs_are_left_out(tmp_path):
    listing = row("PartitionConfig", tmp_path / "other")
    listing += row("PartitionConfig", tmp_path, age=30)
    listing += row("PartitionConfig", tmp_path, state="RUNNING")
    listing += "slurm_load_jobs error: Unable to contact slurm controller\n"
    assert parse_held_jobs(listing, tmp_path) == []
    assert len(parse_held_jobs(listing, tmp_path, grace_seconds=0)) == 1


def test_shared_limit_counts_only_while_no_own_job_runs(tmp_path):
    waits = row("AssocGrpCpuLimit", tmp_path)
    assert parse_held_jobs(waits, tmp_path)[0].shared
    runs = row("None", tmp_path / "other", state="RUNNING", number=8)
    assert parse_held_jobs(waits + runs, tmp_path) == []
    run_minutes = row("AssocGrpCPURunMinutesLimit", tmp_path)
    assert parse_held_jobs(run_minutes + runs, tmp_path) == []
    # Minutes that are used up do not come back when a job ends.
    spent = row("AssocGrpCPUMinutesLimit", tmp_path)
    assert not parse_held_jobs(spent + runs, tmp_path)[0].shared


@pytest.mark.parametrize(
    ("devices", "gpus", "shards"),
    [
        ("N/A|N/A", 0, 0),
        ("gres:gpu:h100:4|N/A", 4, 0),
        ("N/A|gres:shard:1", 0, 1),
        ("gres:gpu|N/A", 1, 0),
    ],
)
def test_devices_are_counted(tmp_path, devices, gpus, shards):
    (job,) = parse_held_jobs(row("BadConstraints", tmp_path, devices=devices), tmp_path)
    assert (job.request.gpus, job.request.shards) == (gpus, shards)


def test_held_job_is_described_with_the_key_to_change(tmp_path):
    (job,) = parse_held_jobs(
        row("PartitionConfig", tmp_path, comment="rule_prepare_data", devices="N/A|N/A"),
        tmp_path,
    )
    assert str(job) == "prepare_data (SLURM job 7, PartitionConfig)"
    assert describe_held(job, parse_partitions(LISTING)) == [
        "it requests 8 cores, 8,192 MB, 240 minutes in partition main",
        "no node of partition main has 8 cores, only up to 4 cores: "
        "--max-threads 4 on the command line",
    ]


def test_jobs_with_one_request_and_reason_are_one_entry(tmp_path):
    listing = row("PartitionConfig", tmp_path) + row("PartitionConfig", tmp_path, number=8)
    listing += row("BadConstraints", tmp_path, number=9)
    heads = [lines[0] for lines in describe_held_jobs(parse_held_jobs(listing, tmp_path))]
    assert heads == [
        "train_run custom_tiny_cnn_24_0 (SLURM job 7, PartitionConfig) and 1 more",
        "train_run custom_tiny_cnn_24_0 (SLURM job 9, BadConstraints)",
    ]
    assert describe_held_jobs([]) == []


def test_group_and_limit_have_their_own_advice(tmp_path):
    group = row("QOSMaxWallDurationPerJobLimit", tmp_path, comment="rule_small_wildcards_x")
    (job,) = parse_held_jobs(group, tmp_path)
    assert "--group-components small=2" in describe_held(job, {})[-1]
    (limited,) = parse_held_jobs(row("AssocGrpMemLimit", tmp_path), tmp_path)
    lines = describe_held(limited, {})
    assert "account or QOS" in lines[1]
    assert "mem_mb" in lines[2]
    (spent,) = parse_held_jobs(row("AssocGrpCPUMinutesLimit", tmp_path), tmp_path)
    assert "too few minutes left" in describe_held(spent, {})[1]
    (held,) = parse_held_jobs(row("JobHeldUser", tmp_path), tmp_path)
    assert describe_held(held, {})[1] == "it is held: scontrol release 7"


def test_squeue_is_asked_for_this_folder(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_held_jobs() == []
    program("squeue", row("PartitionConfig", tmp_path))
    assert [job.number for job in read_held_jobs()] == ["7"]
    program("squeue", row("PartitionConfig", tmp_path), code=1)
    assert read_held_jobs() == []
