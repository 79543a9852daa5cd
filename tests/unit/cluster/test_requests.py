import pytest

from resomap.cluster.nodes import parse_partitions
from resomap.cluster.requests import JobRequest, explain, find_excesses, read_request
from tests.unit.cluster.conftest import LISTING, snakemake_job

PARTITIONS = parse_partitions(LISTING)


@pytest.mark.parametrize(
    ("threads", "resources", "expected"),
    [
        (8, {"mem_mb": 4096, "runtime": 240}, (8, 4096, 240, 0, 0)),
        (1, {"cpus_per_task": 3, "gpu": 2, "mem_mb": 500}, (3, 500, 0, 2, 0)),
        (4, {"mem_mb_per_cpu": 100, "mem_mb": 5}, (4, 400, 0, 0, 0)),
        (1, {"gpu": 0, "gres": "shard:1"}, (1, 0, 0, 0, 1)),
        (1, {"gres": "gpu:h100:4"}, (1, 0, 0, 4, 0)),
        (1, {"gpu": 2, "cpus_per_gpu": 8}, (16, 0, 0, 2, 0)),
        (2, {"tasks": 3}, (6, 0, 0, 0, 0)),
    ],
)
def test_request_is_what_the_plugin_submits(threads, resources, expected):
    request = read_request(snakemake_job(threads=threads, **resources))
    assert (
        request.cores,
        request.memory_mb,
        request.minutes,
        request.gpus,
        request.shards,
    ) == expected


@pytest.mark.parametrize(
    ("request_", "problem", "key"),
    [
        (
            JobRequest("train_run", memory_mb=20_000),
            "no node of partition main has 20,000 MB, only up to 16,000 MB",
            "set-resources: {train_run: {mem_mb: 16000}}",
        ),
        (
            JobRequest("prepare_data", cores=8),
            "no node of partition main has 8 cores, only up to 4 cores",
            "--max-threads 4",
        ),
        (
            JobRequest("train_run", cores=9, own_cores=False, gpus=1, partition="debug"),
            "no node of partition debug has 9 cores, only up to 4 cores",
            "system.training.num_workers",
        ),
        (
            JobRequest("explain_run", cores=9, own_cores=False),
            "no node of partition main has 9 cores, only up to 4 cores",
            "set-resources: {explain_run: {cpus_per_task: 4}}",
        ),
        (
            JobRequest("train_run", minutes=2000, partition="gpu,debug"),
            "2,000 minutes exceed the 1,440 of partition gpu or debug",
            "set-resources: {train_run: {runtime: 1440}}",
        ),
        (
            JobRequest("train_run", gpus=4, partition="gpu"),
            "no node of partition gpu has 4 GPUs, only up to 2 GPUs",
            "system.training.gpus",
        ),
        (
            JobRequest("explain_run", gpus=1),
            "partition main has no GPU",
            "set-resources: {explain_run: {slurm_partition: NAME}}",
        ),
        (
            JobRequest("explain_run", shards=1, partition="debug"),
            "partition debug has no shard",
            "system.slots_per_gpu: 1",
        ),
        (
            JobRequest("train_run", partition="gpuu"),
            "partition gpuu does not exist; sinfo lists debug, gpu, main",
            "slurm_partition",
        ),
        (
            JobRequest("train_run", partition="gpu", constraint="a100"),
            "no node of partition gpu has the feature a100, only fast, h100",
            "constraint",
        ),
        (
            JobRequest("train_run", cores=4, memory_mb=16_000),
            "no single node of partition main has all of it at once",
            "slurm_partition",
        ),
        (
            JobRequest("small", minutes=80, partition="debug", is_group=True),
            "80 minutes exceed the 30 of partition debug",
            "--group-components small=2",
        ),
    ],
)
def test_excess_names_the_largest_value_and_its_key(request_, problem, key):
    (excess,) = find_excesses(request_, PARTITIONS)
    assert excess.problem == problem
    assert key in excess.remedy


@pytest.mark.parametrize(
    "request_",
    [
        JobRequest("train_run", cores=2, memory_mb=16_000),
        JobRequest("train_run", cores=8, gpus=2, memory_mb=64_000, partition="gpu"),
        JobRequest("train_run", memory_mb=10**6, partition="debug"),
        JobRequest("train_run", minutes=60, partition="debug,gpu"),
        JobRequest("train_run", partition="gpu", constraint="a100|h100"),
        JobRequest("train_run", cores=100, nodes=2),
    ],
)
def test_request_that_fits_or_is_unknown_has_no_excess(request_):
    assert find_excesses(request_, PARTITIONS) == []


def test_every_excess_is_named():
    request = JobRequest("train_run", cores=9, memory_mb=10**6, minutes=60, partition="debug")
    assert len(find_excesses(request, PARTITIONS)) == 2
    more = JobRequest("train_run", cores=99, memory_mb=10**6, minutes=9999, partition="gpu")
    assert len(find_excesses(more, PARTITIONS)) == 3


def test_nothing_is_known_without_sinfo():
    assert find_excesses(JobRequest("train_run", cores=10**6), {}) == []


def test_partition_is_described_where_sinfo_shows_no_excess():
    request = JobRequest("train_run", memory_mb=64_000, partition="gpu,debug")
    assert explain("Memory specification can not be satisfied", request, PARTITIONS) == [
        "sinfo shows no excess: a node of partition gpu or debug has up to 64 cores, 2 GPUs, "
        "for 1,440 minutes",
        "what to change: set-resources: {train_run: {mem_mb: ...}} in your profile",
    ]


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        ("AssocGrpMemLimit", "mem_mb"),
        ("QOSMaxWallDurationPerJobLimit", "runtime"),
        ("AssocGrpCPUMinutesLimit", "runtime"),
        ("QOSMaxCpuPerUserLimit", "--max-threads"),
        ("AssocMaxGRESPerJob", "slurm_partition"),
        ("Invalid account or account/partition combination specified", "slurm_account"),
        ("Invalid qos specification", "qos"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "runtime"),
        ("Invalid feature specification", "constraint"),
        ("PartitionConfig", "slurm_partition"),
        ("something new", "..."),
    ],
)
def test_reason_of_slurm_leads_to_a_key(reason, key):
    (line,) = explain(reason, JobRequest("train_run"), {})
    assert key in line
