import math
import os
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.resources import Resources

from resomap.cluster.nodes import (
    NODES_VARIABLE,
    Limits,
    find_limits,
    parse_minutes,
    parse_partitions,
    read_partitions,
    site_limits,
)
from tests.unit.cluster.conftest import LISTING


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30:00", 30),
        ("00:30", 0.5),
        ("4:00:00", 240),
        ("1-12:30:00", 1440 + 750),
        ("infinite", math.inf),
        ("n/a", math.inf),
        ("UNLIMITED", math.inf),
    ],
)
def test_times_of_slurm_are_minutes(text, minutes):
    assert parse_minutes(text) == minutes


def test_listing_gives_partitions_and_their_nodes():
    partitions = parse_partitions(LISTING)
    assert list(partitions) == ["main", "gpu", "debug"]
    assert [each.name for each in partitions.values() if each.is_default] == ["main"]
    assert partitions["gpu"].minutes == 1440
    assert partitions["gpu"].nodes[0] == (8, 64000, 2, 8, {"h100", "fast"})
    # RealMemory is 1 where a site has not configured it.
    assert partitions["debug"].nodes[0].memory_mb == math.inf


def test_lines_of_another_form_are_skipped():
    assert parse_partitions("slurm_load_partitions: Unable to contact\nmain|1\n\n") == {}
    assert parse_partitions("main*|n/a|4+|8000+|gpu:2|x\n")["main"].nodes[0][:3] == (4, 8000, 2)


@pytest.mark.parametrize(
    ("names", "constraint", "gpus", "limits"),
    [
        ("", "", 0, (4, 16000, math.inf)),
        ("gpu", "", 0, (64, 64000, 1440)),
        ("gpu", "", 1, (8, 64000, 1440)),
        ("gpu", "h100", 0, (8, 64000, 1440)),
        ("gpu", "h100&fast", 0, (64, 64000, 1440)),
        ("debug,gpu", "", 1, (8, math.inf, 1440)),
        ("gpu", "", 3, Limits()),
        ("gpu", "a100", 0, Limits()),
        ("none", "", 0, Limits()),
    ],
)
def test_limits_are_those_of_the_largest_allowed_node(names, constraint, gpus, limits):
    assert find_limits(LISTING, names, constraint, gpus) == limits


def workflow_of(profile: dict[str, dict[str, str]], **options: str) -> Any:
    """Return what stands for Snakemake's workflow: resources by rule, options of the plugin."""
    parsed = {rule: Resources.from_mapping(each) for rule, each in profile.items()}
    settings = SimpleNamespace(
        overwrite_resources=parsed, default_resources=parsed.pop("default", None)
    )
    return SimpleNamespace(
        resource_settings=settings, executor_settings=SimpleNamespace(**options)
    )


def test_profile_gives_the_partition_of_a_rule(monkeypatch):
    monkeypatch.setenv(NODES_VARIABLE, LISTING)
    train = {"train_run": {"slurm_partition": "gpu"}}
    workflow = workflow_of({"default": {"slurm_partition": "debug"}, **train})
    assert site_limits(workflow, "train_run").cores == 64
    assert site_limits(workflow, "prepare_data").minutes == 30
    assert site_limits(workflow_of(train), "prepare_data").cores == 4


def test_qos_may_allow_more_time_than_the_partition(monkeypatch):
    monkeypatch.setenv(NODES_VARIABLE, LISTING)
    partition = {"slurm_partition": "debug"}
    with_qos = {"default": {**partition, "qos": "long"}}
    for workflow in (workflow_of(with_qos), workflow_of({"default": partition}, qos="long")):
        assert site_limits(workflow, "train_run")[::2] == (4, math.inf)


def test_other_clusters_and_chosen_partitions_have_no_limits(monkeypatch):
    monkeypatch.setenv(NODES_VARIABLE, LISTING)
    elsewhere = workflow_of({"train_run": {"clusters": "other"}})
    assert site_limits(elsewhere, "train_run") == Limits()
    assert site_limits(elsewhere, "prepare_data").cores == 4
    chosen = workflow_of({}, partition_config="partitions.yaml")
    assert site_limits(chosen, "prepare_data") == Limits()


def test_sinfo_runs_once_and_jobs_inherit_its_answer(program, calls):
    program("sinfo", LISTING)
    assert len(read_partitions()) == len(read_partitions()) == 3
    assert calls("sinfo") == 1
    assert os.environ[NODES_VARIABLE] == LISTING


def test_missing_or_failing_sinfo_knows_no_partition(program, calls):
    assert read_partitions() == {}
    from resomap.cluster import nodes

    nodes._read_listing.cache_clear()
    program("sinfo", "slurm_load_partitions: Unable to contact slurm controller", code=1)
    assert read_partitions() == read_partitions() == {}
    assert calls("sinfo") == 1
    assert NODES_VARIABLE not in os.environ
