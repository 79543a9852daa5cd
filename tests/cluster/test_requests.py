"""Requests that SLURM cannot meet: read from a real sinfo, squeue and sbatch, and through Snakemake."""

import os
import subprocess
from pathlib import Path

import pytest

from resomap.cluster import nodes
from resomap.cluster.queue import describe_held, read_held_jobs
from resomap.cluster.refusals import find_refusal
from tests.cluster.conftest import TIMEOUT_SECONDS, Sweep
from tests.cluster.slurm import Slurm
from tests.cluster.test_faults import OVERLAY

COMMENT = "rule_explain_run_wildcards_custom_tiny_cnn_24_0"


@pytest.fixture
def partitions(slurm, monkeypatch) -> nodes.Partitions:
    """The partitions of the cluster, read as a sweep reads them."""
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, slurm.environment[name])
    nodes._read_listing.cache_clear()
    yield nodes.read_partitions()
    nodes._read_listing.cache_clear()
    os.environ.pop(nodes.NODES_VARIABLE, None)  # not by monkeypatch, which would restore it


def refusal_of(slurm: Slurm, *options: str) -> str:
    """Return what is found in the message of Snakemake's plugin about a refused sbatch."""
    sbatch = subprocess.run(
        ["sbatch", *options, "--wrap=true"],
        env=slurm.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert sbatch.returncode != 0
    message = f"SLURM sbatch failed. The error message was '{sbatch.stderr.strip()}'.\n"
    return find_refusal(message)


def test_partitions_are_those_of_the_cluster(slurm, partitions):
    (main,) = partitions.values()
    assert (main.name, main.minutes, main.is_default) == ("main", float("inf"), True)
    assert main.nodes == ((slurm.cpus, slurm.memory_mb, slurm.gpus, slurm.shards, frozenset()),)


def test_held_job_is_read_with_its_request(slurm, partitions, tmp_path):
    options = ("--hold", f"--comment={COMMENT}", "--gpus=1", "--mem=2048", "-c3", "-t90")
    job = slurm.call("sbatch", "--parsable", *options, f"-D{tmp_path}", "--wrap=true").strip()
    try:
        assert read_held_jobs(tmp_path) == []  # for a minute
        (held,) = read_held_jobs(tmp_path, grace_seconds=0)
        assert read_held_jobs(Path(tmp_path.anchor), grace_seconds=0) == []
    finally:
        slurm.call("scancel", job)
    assert str(held) == f"explain_run custom_tiny_cnn_24_0 (SLURM job {job}, JobHeldUser)"
    assert describe_held(held, partitions) == [
        "it requests 3 cores, 2,048 MB, 90 minutes, 1 GPU in partition main",
        f"it is held: scontrol release {job}",
    ]


@pytest.mark.parametrize(
    "options",
    [
        ("--mem=64000",),
        ("--gpus=3",),
        ("-pnone",),
        ("--gres=tape:1",),
        ("-Cnone",),
        ("--reservation=none",),
    ],
)
def test_refusal_of_a_real_sbatch_is_found(slurm, options):
    assert refusal_of(slurm, *options)


def test_refused_job_is_submitted_once(slurm, tmp_path):
    site = {"set-resources": {"prepare_data": {"slurm_extra": "'--reservation=none'"}}}
    sweep = Sweep(tmp_path, slurm).write(OVERLAY, site)
    assert sweep.start("train").wait(TIMEOUT_SECONDS) == 1
    output = sweep.output()
    assert "SLURM refused prepare_data: " in output
    assert output.count("SLURM sbatch failed") == 1
    assert "Trying to restart" not in output
    assert slurm.jobs() == []
