"""The smoke sweep through a real SLURM: the same tables as here, and each GPU job on a GPU of its own."""

import re

import pytest

from tests.cluster.conftest import Sweep

SEEDS = {"sweep": {"seeds": [0, 1]}}


@pytest.fixture(scope="module")
def here(slurm, tmp_path_factory) -> Sweep:
    sweep = Sweep(tmp_path_factory.mktemp("here"), slurm).write(SEEDS)
    sweep.run(here=True)
    return sweep


@pytest.fixture(scope="module")
def sent(slurm, tmp_path_factory) -> tuple[Sweep, str]:
    """A sweep on the cluster, and what Snakemake said of it."""
    sweep = Sweep(tmp_path_factory.mktemp("there"), slurm).write(SEEDS).plan()
    return sweep, sweep.run()


@pytest.fixture(scope="module")
def there(sent) -> Sweep:
    return sent[0]


def test_a_sweep_on_a_cluster_ends_with_the_tables_of_one_machine(here, there):
    assert there.results() == here.results()


def test_no_more_gpu_jobs_run_at_once_than_there_are_gpus_and_each_on_its_own(sent):
    own = {int(number) for number in re.findall(r"SLURM jobid (\d+)", sent[1])}
    took = [
        allocation
        for allocation in sent[0].slurm.allocations()
        if allocation.gpus and allocation.job in own
    ]
    assert {gpu for allocation in took for gpu in allocation.gpus} == {"0", "1"}
    beside = [
        (one, other)
        for one in took
        for other in took
        if one.job < other.job and max(one.start, other.start) < min(one.end, other.end)
    ]
    assert beside, "no two jobs ran side by side, so nothing was shown"
    for one, other in beside:
        assert not set(one.gpus) & set(other.gpus), (one, other)


def test_short_jobs_are_sent_together(sent):
    groups = sent[1].count("Group job small")
    assert (
        groups,
        sent[1].count("Finished jobid"),
        sent[1].count("submitted with SLURM jobid"),
    ) == (1, 23, 14)
    (number,) = re.findall(r"group_small\S*/(\d+)\.log", sent[1])
    asked = sent[0].slurm.ended()[number]
    assert int(asked["TimeLimit"]) >= 8 * 6, (
        "eight jobs one after another, of six minutes or more each"
    )
    assert asked["Tres"].startswith("cpu=1,"), "they need one core together, not one each"


def test_all_is_done_then(there):
    assert "Nothing to be done" in there.run()
    assert there.slurm.jobs() == []
