from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from resomap.cluster.nodes import Limits
from resomap.config.load import build_config, merge
from resomap.config.schema import Config
from resomap.system.files import write_json
from resomap.workflow import data_digest, resources
from resomap.workflow.resources import ResourceRequests
from tests.image_files import write_classes

NO_LIMITS = Limits()
UNPLANNED = (resources.UNPLANNED_MINUTES, resources.UNPLANNED_MB)


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def planned(config) -> Path:
    """A plan in which tiny_cnn fits at 24 px and does not at 48 px."""
    (tiny,) = [
        model.model_dump(mode="json") for model in config.models if model.name == "tiny_cnn"
    ]
    fits = {"model": "tiny_cnn", "resolution": 24, "architecture": tiny, "status": "ok"}
    fits |= {
        "wall_seconds": 1201.0,
        "peak_rss_mib": 1000.5,
        "other_wall_seconds": {"evaluate": 200.0, "explain": 201.0, "profile": 60.0},
    }
    fails = {**fits, "resolution": 48, "status": "infeasible"}
    settings = resources.plan_settings(config)
    write_json(resources.PLAN, {"settings": settings, "cells": [fits, fails]})
    return resources.PLAN


def requests(
    config: Config | dict[str, Any],
    on_cluster: bool = True,
    limits: Limits = NO_LIMITS,
    **system: Any,
) -> ResourceRequests:
    if isinstance(config, dict):
        config = build_config(merge(config, {"system": system}))
    return ResourceRequests(config, lambda: on_cluster, lambda rule, gpus: limits)


def evaluate(request: dict[str, Any], attempt: int = 1, **wildcards: str) -> dict[str, Any]:
    """Evaluate a request as Snakemake does: call its functions, and leave out None."""
    job = SimpleNamespace(**{"model": "tiny_cnn", "resolution": "24", **wildcards})
    values = {}
    for name, value in request.items():
        arguments = (job, attempt) if name in ("runtime", "mem_mb") else (job,)
        values[name] = value(*arguments) if callable(value) else value
    return {name: value for name, value in values.items() if value is not None}


def time_and_memory(request: dict[str, Any], **job: Any) -> tuple[int, int]:
    values = evaluate(request, **job)
    return values["runtime"], values["mem_mb"]


def test_training_requests_plan_with_margin_and_more_in_retries(config, planned):
    training = requests(config).training_job()
    # 1.5 x 20.02 + 5 minutes; 1.3 x 1000.5 + 1024 MB
    assert [time_and_memory(training, attempt=attempt) for attempt in (1, 2, 3, 4)] == [
        (36, 2325),
        (72, 4650),
        (108, 6975),
        (108, 6975),
    ]


def test_guess_and_retries_stay_within_a_node(config, planned):
    request = requests(config, limits=Limits(cores=4, memory_mb=8000, minutes=200))
    unplanned = {"model": "simple_cnn"}
    for attempt in (1, 2, 3):
        training = time_and_memory(request.training_job(), attempt=attempt, **unplanned)
        assert training == (200, 8000)
    preparing = [
        time_and_memory(request.cpu_job(minutes=60), attempt=each) for each in (1, 2, 3, 4)
    ]
    assert preparing == [(60, 4096), (120, 8000), (180, 8000), (180, 8000)]
    planned_training = time_and_memory(request.training_job(), attempt=3)
    assert planned_training == (108, 6975)


def test_measured_need_is_requested_even_where_no_node_has_it(config, planned):
    request = requests(config, limits=Limits(memory_mb=1100, minutes=2))
    # 1000.5 MiB and 200 MB for Snakemake; 200 s of an evaluation.
    assert time_and_memory(request.gpu_job("evaluate"), attempt=3) == (4, 1201)
    # A training resumes in its next job.
    assert time_and_memory(request.training_job(), attempt=1) == (2, 1201)


def test_cores_are_those_of_a_node_on_a_cluster(config):
    limits = Limits(cores=4)
    assert requests(config, limits=limits).cores(1024)(None, rulename="prepare_data") == 4
    assert requests(config, limits=limits).cores(1)(None) == 1
    assert requests(config).cores(1024)(None) == 1024
    assert requests(config, on_cluster=False, limits=limits).cores(1024)(None) == 1024


def test_limits_are_those_of_the_rule_with_its_gpus(defaults):
    asked = []

    def limits(rule: str, gpus: int) -> Limits:
        asked.append((rule, gpus))
        return Limits()

    for device in ("cuda", "cpu"):
        config = build_config(
            merge(defaults, {"system": {"device": device, "training": {"gpus": 2}}})
        )
        request = ResourceRequests(config, lambda: True, limits)
        job = SimpleNamespace(model="tiny_cnn", resolution="24")
        request.training_job()["mem_mb"](job, 1, rulename="train_run")
        request.gpu_job("explain")["runtime"](job, 1, rulename="explain_run")
        request.cpu_job(30)["mem_mb"](job, 1, rulename="resize_data")
    assert asked == [
        *[("train_run", 2), ("explain_run", 1), ("resize_data", 0)],
        *[("train_run", 0), ("explain_run", 0), ("resize_data", 0)],
    ]


def test_unplanned_training_requests_generous_defaults(config, defaults, planned):
    training = requests(config).training_job()
    assert time_and_memory(training, resolution="48") == UNPLANNED
    assert time_and_memory(training, model="simple_cnn") == UNPLANNED
    for change in (
        {"training": {"epochs": 9}},
        {"explainability": {"ig_steps": 99}},
        {"models": {"tiny_cnn": {"channels": [8, 32]}}},
    ):
        other = requests(merge(defaults, change)).training_job()
        assert time_and_memory(other) == UNPLANNED
    planned.unlink()
    assert time_and_memory(requests(config).training_job()) == UNPLANNED


@pytest.mark.parametrize(("stage", "minutes"), [("evaluate", 10), ("explain", 11)])
def test_other_jobs_request_their_planned_time(config, planned, stage, minutes):
    assert time_and_memory(requests(config).gpu_job(stage)) == (minutes, 2325)


def test_only_jobs_planned_to_be_short_are_grouped(config, planned):
    request = requests(config)
    planned_job = SimpleNamespace(model="tiny_cnn", resolution="24")
    unplanned_job = SimpleNamespace(model="x", resolution="24")
    assert request.small_group("evaluate")(planned_job) == "small"
    assert request.small_group("explain")(planned_job) is None
    assert request.small_group("evaluate")(unplanned_job) is None


def test_profile_requests_time_of_the_whole_model(defaults, planned):
    request = requests(merge(defaults, {"sweep": {"resolutions": [24]}})).exclusive_job()
    job, values = SimpleNamespace(model="tiny_cnn"), {}
    for name, value in request.items():
        values[name] = value(job, 1) if name in ("runtime", "mem_mb") else value(job)
    assert values == {"gpu": 1, "slurm_extra": "--exclusive", "runtime": 7, "mem_mb": 2325}


@pytest.mark.parametrize(("gpus", "cores"), [(1, 3), (4, 12)])
def test_cluster_training_requests_gpus_cores_and_a_signal(defaults, gpus, cores):
    request = requests(defaults, training={"gpus": gpus, "num_workers": 2}).training_job()
    values = evaluate(request)
    assert (values["gpu"], values["cpus_per_task"], values["slot"]) == (gpus, cores, 1)
    assert values["slurm_extra"] == "--signal=TERM@60"
    assert values.get("nodes") == (1 if gpus > 1 else None)


def test_cluster_gpus_do_not_depend_on_the_login_node(defaults):
    for device, gpus in (("auto", 1), ("cuda", 1), ("cpu", 0)):
        request = requests(defaults, device=device).gpu_job("explain")
        assert evaluate(request)["gpu"] == gpus
    assert evaluate(requests(defaults, device="cpu").training_job())["cpus_per_task"] == 1


def test_one_machine_counts_slots_and_nothing_of_a_cluster(defaults):
    request = requests(defaults, on_cluster=False, device="cuda", slots_per_gpu=3)
    assert set(evaluate(request.training_job())) == {"gpu", "runtime", "mem_mb"}
    for job, slots in (
        (request.training_job(), 1),
        (request.gpu_job("explain"), 1),
        (request.exclusive_job(), 3),
        (request.gpu_job("train", gpus=2), 6),
    ):
        assert evaluate(job)["gpu"] == slots
    on_cpu = requests(defaults, on_cluster=False, device="cpu")
    assert evaluate(on_cpu.exclusive_job())["gpu"] == 0


def test_cluster_slot_is_a_shard_and_large_jobs_get_whole_gpus(defaults):
    request = requests(defaults, device="cuda", slots_per_gpu=3)
    for job, gpus, shard in (
        (request.training_job(), 0, "shard:1"),
        (request.gpu_job("explain"), 0, "shard:1"),
        (request.exclusive_job(), 1, None),
        (request.gpu_job("train", gpus=2), 2, None),
    ):
        values = evaluate(job)
        assert (values["gpu"], values.get("gres")) == (gpus, shard)


def test_cpu_job_requests_more_in_retries(config):
    job = requests(config).cpu_job(minutes=30)
    assert [time_and_memory(job, attempt=attempt) for attempt in (1, 2, 9)] == [
        (30, 4096),
        (60, 8192),
        (90, 12288),
    ]


@pytest.mark.parametrize(("device", "gpus"), [("cpu", 0), ("cuda", 1)])
def test_gpus_per_job_follow_the_device(defaults, device, gpus):
    config = build_config(merge(defaults, {"system": {"device": device}}))
    assert resources.gpus_per_job(config) == gpus


def test_large_dataset_is_resized_on_all_cores(config, defaults, tmp_path, monkeypatch):
    monkeypatch.delenv(data_digest.USER_FILES_VARIABLE, raising=False)
    path = write_classes(tmp_path / "images", {"cat": 40, "dog": 24})
    folder, cifar = (
        build_config(merge(defaults, {"data": data}))
        for data in (
            {"dataset": "folder", "path": str(path)},
            {"dataset": "CIFAR10", "root": "x"},
        )
    )
    assert resources.resize_threads(config) == resources.resize_threads(folder) == 1
    assert resources.resize_threads(cifar) == resources.ALL_CORES
    monkeypatch.setattr(resources, "LARGE_DATASET", 50)
    assert resources.resize_threads(folder) == resources.ALL_CORES
