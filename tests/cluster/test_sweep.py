"""The smoke sweep through a real SLURM: the tables of a local sweep, and a GPU for each job."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import Sweep

# Two trainings, so that two GPUs have a job each.
OVERLAY = {"sweep": {"resolutions": [16, 24], "seeds": [0]}}


@pytest.fixture(scope="module")
def local(slurm, tmp_path_factory) -> Iterator[tuple[Sweep, subprocess.Popen]]:
    """A local sweep that runs beside that on the cluster."""
    sweep = Sweep(tmp_path_factory.mktemp("local"), slurm).write(OVERLAY)
    snakemake = sweep.start(local=True)
    yield sweep, snakemake
    snakemake.terminate()  # where a test failed before its end
    snakemake.wait()


@pytest.fixture(scope="module")
def submitted(slurm, local, tmp_path_factory) -> tuple[Sweep, str]:
    """A planned sweep on the cluster, and the log of Snakemake."""
    sweep = Sweep(tmp_path_factory.mktemp("cluster"), slurm).write(OVERLAY).plan()
    sweep.run()
    return sweep, sweep.log()


def test_cluster_sweep_has_the_tables_of_a_local_one(local, submitted):
    sweep, snakemake = local
    sweep.finish(snakemake)
    assert submitted[0].results() == sweep.results()


def test_jobs_side_by_side_have_different_gpus(submitted):
    sweep, log = submitted
    jobs = {int(number) for number in re.findall(r"SLURM jobid (\d+)", log)}
    allocations = [
        allocation
        for allocation in sweep.slurm.allocations()
        if allocation.gpus and allocation.job in jobs
    ]
    assert {gpu for allocation in allocations for gpu in allocation.gpus} == {"0", "1"}
    overlapping = [
        (one, other)
        for one in allocations
        for other in allocations
        if one.job < other.job and max(one.start, other.start) < min(one.end, other.end)
    ]
    assert overlapping, "no two jobs ran side by side"
    for one, other in overlapping:
        assert not set(one.gpus) & set(other.gpus), (one, other)


def test_short_jobs_share_an_allocation(submitted):
    sweep, log = submitted
    assert log.count("Group job small") == 1
    assert log.count("Finished jobid") == 20
    assert log.count("submitted with SLURM jobid") == 12
    (number,) = re.findall(r"group_small\S*/(\d+)\.log", log)
    group = sweep.slurm.ended()[number]
    # Four jobs one after another, of six minutes or more each, on one core.
    assert int(group["TimeLimit"]) >= 4 * 6
    assert group["Tres"].startswith("cpu=1,")


def test_finished_cluster_sweep_has_nothing_to_do(submitted):
    sweep, _ = submitted
    assert "Nothing to be done" in sweep.run()
    assert sweep.slurm.jobs() == []
