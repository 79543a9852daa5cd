"""What jobs ask for: of Snakemake on one machine, of a scheduler on a cluster."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resomap.config.load import build_config, merge
from resomap.system.files import write_json
from resomap.workflow import resources
from resomap.workflow.resources import ResourceRequests

PLENTY = (resources.UNPLANNED_MINUTES, resources.UNPLANNED_MB)


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def planned(config) -> Path:
    (tiny,) = [
        model.model_dump(mode="json") for model in config.models if model.name == "tiny_cnn"
    ]
    cell = {"model": "tiny_cnn", "resolution": 24, "architecture": tiny, "status": "ok"}
    cell |= {
        "wall_seconds": 1201.0,
        "peak_rss_mib": 1000.5,
        "other_wall_seconds": {"evaluate": 200.0, "explain": 201.0, "profile": 60.0},
    }
    none = {"model": "tiny_cnn", "resolution": 48, "architecture": tiny, "status": "infeasible"}
    write_json(
        resources.PLAN, {"settings": resources.plan_settings(config), "cells": [cell, none]}
    )
    return resources.PLAN


def requests(values: Any, on_cluster: bool = True, **system: Any) -> ResourceRequests:
    config = (
        build_config(merge(values, {"system": system})) if isinstance(values, dict) else values
    )
    return ResourceRequests(config, on_cluster=lambda: on_cluster)


def of_job(
    asked: dict[str, Any], attempt: int = 1, resolution: str = "24", model: str = "tiny_cnn"
) -> dict[str, Any]:
    """What Snakemake makes of it: functions are called, None is left out."""
    wildcards = SimpleNamespace(model=model, resolution=resolution)
    told = {}
    for name, value in asked.items():
        arguments = (wildcards, attempt) if name in ("runtime", "mem_mb") else (wildcards,)
        told[name] = value(*arguments) if callable(value) else value
    return {name: value for name, value in told.items() if value is not None}


def time_and_memory(asked: dict[str, Any], **job: Any) -> tuple[int, int]:
    told = of_job(asked, **job)
    return told["runtime"], told["mem_mb"]


def test_a_training_asks_for_what_is_planned_with_a_margin_and_for_up_to_three_times_that_later(
    config, planned
):
    training = requests(config).training_job()
    assert time_and_memory(training) == (
        36,
        2325,
    )  # 1.5 x 20.02 + 5 minutes; 1.3 x 1000.5 + 1024
    assert [time_and_memory(training, attempt=attempt) for attempt in (2, 3, 4)] == [
        (72, 4650),
        (108, 6975),
        (108, 6975),
    ]


def test_what_nobody_planned_asks_for_plenty(config, defaults, planned):
    assert time_and_memory(requests(config).training_job(), resolution="48") == PLENTY
    assert time_and_memory(requests(config).training_job(), model="simple_cnn") == PLENTY
    for change in (
        {"training": {"epochs": 9}},
        {"explainability": {"ig_steps": 99}},
        {"models": {"tiny_cnn": {"channels": [8, 32]}}},
    ):
        assert time_and_memory(requests(merge(defaults, change)).training_job()) == PLENTY
    planned.unlink()
    assert time_and_memory(requests(config).training_job()) == PLENTY


@pytest.mark.parametrize(("stage", "minutes"), [("evaluate", 10), ("explain", 11)])
def test_other_jobs_of_a_run_ask_for_their_own_time(config, planned, stage, minutes):
    assert time_and_memory(requests(config).gpu_job(stage)) == (minutes, 2325)


def test_short_jobs_are_sent_together_and_long_ones_or_unplanned_ones_alone(config, planned):
    ask, known, unknown = (
        requests(config),
        SimpleNamespace(model="tiny_cnn", resolution="24"),
        SimpleNamespace(model="x", resolution="24"),
    )
    assert [ask.small_group(stage)(known) for stage in ("evaluate", "explain")] == [
        "small",
        None,
    ]
    assert ask.small_group("evaluate")(unknown) is None


def test_a_profile_asks_for_the_time_of_the_whole_model(defaults, planned):
    asked = requests(merge(defaults, {"sweep": {"resolutions": [24]}})).exclusive_job()
    told = {
        name: value(
            SimpleNamespace(model="tiny_cnn"), *([1] if name in ("runtime", "mem_mb") else [])
        )
        for name, value in asked.items()
    }
    assert told == {"gpu": 1, "slurm_extra": "--exclusive", "runtime": 7, "mem_mb": 2325}


@pytest.mark.parametrize(("gpus", "cores"), [(1, 3), (4, 12)])
def test_on_a_cluster_a_training_has_its_gpus_in_one_node_a_core_for_each_helper_and_a_warning(
    defaults, gpus, cores
):
    told = of_job(requests(defaults, training={"gpus": gpus, "num_workers": 2}).training_job())
    assert (told["gpu"], told["cpus_per_task"], told["slot"], told["slurm_extra"]) == (
        gpus,
        cores,
        1,
        "--signal=TERM@60",
    )
    assert told.get("nodes") == (1 if gpus > 1 else None)


def test_on_a_cluster_auto_means_a_gpu_though_the_login_node_has_none_and_cpu_means_none(
    defaults,
):
    assert [
        of_job(requests(defaults, device=device).gpu_job("explain"))["gpu"]
        for device in ("auto", "cuda", "cpu")
    ] == [1, 1, 0]
    assert of_job(requests(defaults, device="cpu").training_job())["cpus_per_task"] == 1


def test_on_one_machine_jobs_count_slots_and_ask_for_nothing_that_only_a_cluster_knows(
    defaults,
):
    ask = requests(defaults, on_cluster=False, device="cuda", slots_per_gpu=3)
    assert set(of_job(ask.training_job())) == {"gpu", "runtime", "mem_mb"}
    assert [
        of_job(asked)["gpu"]
        for asked in (
            ask.training_job(),
            ask.gpu_job("explain"),
            ask.exclusive_job(),
            ask.gpu_job("train", gpus=2),
        )
    ] == [
        1,
        1,
        3,
        6,
    ]
    assert (
        of_job(requests(defaults, on_cluster=False, device="cpu").exclusive_job())["gpu"] == 0
    )


def test_on_a_cluster_a_slot_of_a_gpu_is_a_shard_and_profiles_and_large_trainings_have_whole_ones(
    defaults,
):
    ask = requests(defaults, device="cuda", slots_per_gpu=3)
    for asked in (ask.training_job(), ask.gpu_job("explain")):
        told = of_job(asked)
        assert (told["gpu"], told["gres"]) == (0, "shard:1")
    for asked, gpus in ((ask.exclusive_job(), 1), (ask.gpu_job("train", gpus=2), 2)):
        told = of_job(asked)
        assert (told["gpu"], told.get("gres")) == (gpus, None)


def test_a_job_that_no_plan_speaks_of_asks_for_more_after_a_failure(config):
    plain = requests(config).cpu_job(minutes=30)
    assert [time_and_memory(plain, attempt=attempt) for attempt in (1, 2, 9)] == [
        (30, 4096),
        (60, 8192),
        (90, 12288),
    ]
