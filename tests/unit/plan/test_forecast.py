from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resomap.config.load import build_config, merge
from resomap.data.loading import placement
from resomap.plan import forecast
from resomap.plan.forecast import Capacity, ImageCounts
from resomap.system.files import read_json, write_json
from resomap.training import autosave
from resomap.workflow.resources import PLAN, plan_settings
from resomap.workflow.targets import swept_models

RECORD = {
    "status": "ok",
    "step_seconds": [0.5, 1.0],
    "val_image_seconds": [0.01, 0.02],
    "save_seconds": [1.0, 0.5],
    "startup_seconds": [2.0, 3.0],
    "end_seconds": [1.0, 1.0],
    "age_seconds": [20.0, 20.0],
    "micro_batch": None,
    "weights_bytes": 100,
    "optimizer_bytes": 200,
    "peak_memory_mib": 700.0,
    "peak_rss_mib": 800.0,
    "device_memory_mib": 1000,
}
IMAGES = ImageCounts(
    train=320, val=100, test=300, classes=6, stored_bytes=2**30, native_side=128
)
EXPLAINED = {
    "methods": ["gradcam", "integrated_gradients"],
    "ig_steps": 5,
    "images": 16,
    "sanity": {"images": 0},
    "faithfulness": {"images": 0},
}


def cpu_config(defaults: dict[str, Any], **change: Any):
    return build_config(merge(merge(defaults, {"system": {"device": "cpu"}}), change))


def training_seconds(config) -> np.ndarray:
    return forecast.training_seconds(RECORD, config.training, config.system.training, IMAGES)


def test_training_is_epochs_process_and_saving(defaults):
    found = training_seconds(cpu_config(defaults, training={"epochs": 4}))
    # 10 steps and 100 images per epoch. No state is saved: its 3 s are more than 2 % of 24 s.
    assert found == pytest.approx([3 + 4 * (5 + 1) + 2 * 1, 4 + 4 * (10 + 2) + 2 * 0.5])


def test_training_includes_saving_kept_epochs_and_states(defaults):
    config = cpu_config(defaults, training={"epochs": 100, "save_top_k": 2})
    trained, states = 100 * (5 + 1 + 1), 700 // 150
    assert training_seconds(config)[0] == pytest.approx(3 + trained + (2 + 3 * states) * 1)


@pytest.mark.parametrize(
    ("evaluation", "images"),
    [
        ({"modes": ["raw"]}, 400),
        ({"modes": ["raw", "bn"]}, 2 * 400 + 320),
        ({"modes": ["raw", "bn"], "bn_images": 100}, 2 * 400 + 100),
    ],
)
def test_evaluation_scores_at_every_resolution(defaults, evaluation, images):
    config = cpu_config(defaults, evaluation=evaluation)
    found = forecast.evaluation_seconds(config, RECORD, [RECORD, RECORD], IMAGES)
    assert found == pytest.approx([3 + images * 0.02, 4 + images * 0.04])


def test_evaluation_with_fine_tuning_trains_at_every_resolution(defaults):
    modes = {"modes": ["raw", "finetune"], "finetune": {"epochs": 3}}
    config = cpu_config(defaults, evaluation=modes)
    found = forecast.evaluation_seconds(config, RECORD, [RECORD, RECORD], IMAGES)
    steps = 3 * 10
    assert found == pytest.approx([3 + 800 * 0.02 + steps * 1, 4 + 800 * 0.04 + steps * 2])


def test_explanation_counts_gradients_and_views(defaults):
    config = cpu_config(defaults, explainability=EXPLAINED)
    found = forecast.explanation_seconds(RECORD, 32, config.explainability)
    assert found == pytest.approx([3 + 1.5, 4 + 3])
    checks = {"sanity": {"images": 4}, "faithfulness": {"images": 2, "bandwidths": [6]}}
    config = cpu_config(defaults, explainability=EXPLAINED | checks)
    gradients, views = 24 * 6, 6 * 2 * 4
    more = [gradients * 0.5 / 32 + views * 0.01, gradients * 1 / 32 + views * 0.02]
    found = forecast.explanation_seconds(RECORD, 32, config.explainability)
    assert found == pytest.approx(np.array([4.5, 7]) + more)


def test_profile_counts_shapes_and_threads(defaults):
    profiling = cpu_config(defaults).system.profiling.model_copy(
        update={
            "warmup_seconds": 1.0,
            "rounds": 5,
            "round_seconds": 0.2,
            "variants": ("eager",),
            "cpu_threads": 2,
        }
    )
    assert forecast.profile_seconds([RECORD] * 3, profiling) == pytest.approx([3 + 12, 4 + 24])


def test_profile_in_runtimes_counts_their_exports(defaults):
    profiling = cpu_config(defaults).system.profiling
    alone, beside = (
        forecast.profile_seconds([RECORD] * 3, profiling.model_copy(update={"variants": names}))
        for names in (("eager", "compiled"), ("eager", "onnxruntime"))
    )
    assert beside - alone == pytest.approx([3 * forecast.EXPORT_SECONDS] * 2)


def test_images_count_as_memory_unless_memory_mapped():
    side = 256  # 420 images of 192 KiB
    assert forecast.add_image_memory(RECORD, side, IMAGES, crops_native=False) == {
        "peak_memory_mib": 700 + 78.75,
        "peak_rss_mib": 800 + 78.75,
    }
    many = replace(IMAGES, train=10_000)
    assert forecast.add_image_memory(RECORD, side, many, False)["peak_rss_mib"] == 800


def test_native_crops_keep_native_images_of_all_splits():
    peaks = forecast.add_image_memory(RECORD, 64, IMAGES, crops_native=True)
    # 720 images of 48 KiB, and 100 of 12 KiB for validation.
    assert peaks["peak_rss_mib"] == pytest.approx(800 + 33.75 + 1.171875)


def test_shares_equal_those_of_torch_modules():
    assert forecast.AUTOSAVE_SHARE == autosave.MAX_SAVE_SHARE
    assert forecast.RESIDENT_SHARE == placement.MAX_MEMORY_SHARE


@pytest.mark.parametrize(
    ("change", "size"),
    [({}, 100), ({"save_top_k": 9}, 900), ({"save_top_k": 2, "save_optimizer": True}, 700)],
)
def test_checkpoints_are_best_weights_and_kept_epochs(defaults, change, size):
    training = cpu_config(defaults, training={"epochs": 8, **change}).training
    assert forecast.checkpoint_bytes(RECORD, training) == size


@pytest.mark.parametrize(("workers", "wall"), [(1, 16), (2, 8), (3, 7), (9, 7)])
def test_makespan_takes_longest_jobs_first(workers, wall):
    assert forecast.makespan([1, 7, 3, 5], workers) == wall


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, "yes"),
        ({"micro_batch": 8}, "in micro-batches of 8"),
        ({"peak_memory_mib": 995.0}, "tightly"),
        ({"status": "infeasible", "reason": "not even 1 image"}, "no"),
    ],
)
def test_forecast_cell_reports_whether_it_fits(config, change, fits):
    records = {256: RECORD | change}
    (cell,) = forecast.forecast_cells(config, config.models[0], records, IMAGES)
    assert cell["fits"] == fits


@pytest.mark.parametrize(
    ("slots", "gpus", "context", "fits"),
    [
        (1, 1, 200, "yes"),
        (1, 1, 512, "tightly"),
        (2, 1, 200, "not in one of 2 slots"),
        (2, 2, 200, "yes"),  # a training on several GPUs has them whole
        (2, 1, 0, "yes"),  # on a CPU there are no slots
    ],
)
def test_memory_of_slot_and_context_counts(config, slots, gpus, context, fits):
    training = config.system.training.model_copy(update={"gpus": gpus})
    system = config.system.model_copy(update={"slots_per_gpu": slots, "training": training})
    shared = config.model_copy(update={"system": system})
    records = {256: RECORD | {"context_mib": context}}
    (cell,) = forecast.forecast_cells(shared, config.models[0], records, IMAGES)
    assert cell["fits"] == fits


@pytest.mark.parametrize(
    ("on_gpus", "hours", "unit", "seconds"),
    [
        (False, 4, "core", 1800 + 3600),  # a profile uses every core
        (True, 2, "GPU", 3600),
    ],
)
def test_sweep_is_priced_by_core_or_gpu(config, monkeypatch, on_gpus, hours, unit, seconds):
    jobs = {
        "train": [np.array([1800.0, 3600.0])] * 2,
        "evaluate": [],
        "explain": [],
        "profile": [np.array([3600.0, 7200.0])],
    }
    monkeypatch.setattr(forecast, "_job_seconds", lambda *_: jobs)
    totals = forecast.forecast_sweep(config, {}, IMAGES, Capacity(2, on_gpus, 1.5))
    assert (totals["hours"], totals["unit"], totals["price"]) == (hours, unit, 1.5 * hours)
    assert totals["sweep_seconds"] == seconds + forecast.OTHER_SECONDS


@pytest.fixture
def planned(defaults, tmp_path, monkeypatch):
    """Write the plan of two models at two resolutions with two seeds; return its configuration."""
    monkeypatch.chdir(tmp_path)
    config = cpu_config(defaults)
    cells = []
    for model in swept_models(config):
        for resolution in config.sweep.resolutions:
            cell = {"model": model.name, "architecture": model.model_dump(mode="json")}
            seconds = {"evaluate": 10.0, "explain": 20.0, "profile": 60.0}
            cell |= {"resolution": resolution, "status": "ok", "wall_seconds": 30.0}
            cells.append(cell | {"other_wall_seconds": seconds})
    plan = {"settings": plan_settings(config), "cells": cells}
    write_json(PLAN, plan | {"totals": {"unit": "core", "workers": 8}})
    return config


@pytest.mark.parametrize(("cores", "seconds"), [(1, 8 * 60 + 120), (2, 4 * 60 + 120)])
def test_estimate_is_that_of_the_plan(planned, cores, seconds):
    # Training, evaluation and explanation of 8 runs, a profile of each model, and the rest.
    expected = (seconds + forecast.OTHER_SECONDS) / 60
    assert forecast.estimate_minutes(planned, cores) == pytest.approx(expected)


@pytest.mark.parametrize(
    "change",
    [
        {"training": {"epochs": 7}},
        {"sweep": {"resolutions": [24, 48, 96]}},
        {"system": {"device": "cuda"}},
    ],
    ids=["another recipe", "another cell", "another device"],
)
@pytest.mark.usefixtures("planned")
def test_sweep_without_plan_of_its_own_has_no_estimate(defaults, change):
    assert forecast.estimate_minutes(cpu_config(defaults, **change), 2) is None


def test_estimate_without_explanations_leaves_them_out(planned):
    seconds = 8 * 40 + 120 + forecast.OTHER_SECONDS
    off = {"explainability": planned.explainability.model_copy(update={"enabled": False})}
    config = planned.model_copy(update=off)
    plan = read_json(PLAN)
    write_json(PLAN, plan | {"settings": plan_settings(config)})
    assert forecast.estimate_minutes(config, 1) == pytest.approx(seconds / 60)
