import pytest

from benchmarks import cluster
from benchmarks.large_sweep import (
    LargeSweep,
    ModelCounts,
    SweepCell,
    paper_rate,
    paper_sweep,
    planned_sweep,
)
from resomap.config.load import load_config
from resomap.config.sweep_checks import find_architecture

ASSUMED = cluster.parse_assumptions([])


@pytest.fixture
def full_config():
    folder = cluster.ROOT / "config"
    return load_config(folder, [folder / "presets" / "full.yaml"])


def test_rate_is_limited_by_traffic_or_launches():
    card = {"share": 1.0, "flops": 6e12, "bandwidth": 15e9, "passes": 7.5}
    assumed = ASSUMED | card | {"batch": 100, "launch": 1e-3}
    counts = ModelCounts(parameters=1, macs=10**9, outputs=10**6, layers=1)
    assert paper_rate(counts, 224, assumed) == pytest.approx(1 / (1e-3 + 1e-3))
    assert paper_rate(counts, 112, assumed) == pytest.approx(4 / (1e-3 + 1e-3))
    launching = counts._replace(layers=1000)
    assert paper_rate(launching, 112, assumed) == pytest.approx(100 / 1.0)


@pytest.fixture
def plan(config):
    architecture = find_architecture(config.models, "tiny_cnn").model_dump(mode="json")
    cell = {"model": "tiny_cnn", "status": "ok", "architecture": architecture}
    return {
        "cells": [
            {**cell, "resolution": 64, "train_images_per_second": 1000.0},
            {**cell, "resolution": 96, "train_images_per_second": 500.0},
            {"model": "vgg16", "status": "infeasible", "architecture": {}, "resolution": 64},
        ],
        "seeds": 2,
        "machine": "a card",
        "settings": {"training": {"epochs": 36}},
        "totals": {"unit": "GPU"},
        "images": {"train": 9000, "val": 3000, "test": 3000, "classes": 10},
    }


def test_planned_sweep_uses_measured_rates(plan):
    sweep = planned_sweep(plan)
    assert [sweep.hours(cell) for cell in sweep.cells] == pytest.approx([0.1, 0.2])
    assert sweep.training_hours == pytest.approx(0.6)
    assert sweep.models == {"tiny_cnn": sweep.cells[0].parameters}
    hours = 2 * 2 * 6000 / 3 * (1 / 1000 + 1 / 500) / 3600
    assert sweep.evaluation_hours() == pytest.approx(hours)


def test_page_of_a_plan_names_its_machine(plan, config):
    page = cluster.render_page(planned_sweep(plan), ASSUMED, config)
    assert "measured on a card" in page
    assert "`share`" not in page
    assert "on paper" not in page
    assert "| tiny_cnn | 0.1 | 0.2 | 0.6 |" in page


def test_assumption_is_replaced():
    assert cluster.parse_assumptions(["price=1.8"])["price"] == 1.8


@pytest.mark.parametrize(
    ("text", "message"), [("prize=1.8", "known are train"), ("price=cheap", "must be a number")]
)
def test_wrong_assumption_is_refused(text, message):
    with pytest.raises(SystemExit, match=message):
        cluster.parse_assumptions([text])


def test_interrupted_trainings_do_not_depend_on_cluster_size():
    cell = SweepCell("vgg16", 224, 1000.0, 138_000_000)
    sweep = LargeSweep([cell], 1_280_000, 50_000, 1000, 90, 1, "GPU", None)
    few, many = (
        cluster.compute_failures(sweep, ASSUMED | {"gpus": gpus}, 30.0) for gpus in (8, 512)
    )
    assert few["interrupted"] == many["interrupted"]
    assert few["cluster_hours"] == 64 * many["cluster_hours"]


def test_page_in_docs_is_current(full_config):
    page = cluster.render_page(paper_sweep(full_config, ASSUMED), ASSUMED, full_config)
    written = cluster.PAGE.read_text(encoding="utf-8")
    assert written == page, "run `python -m benchmarks.cluster`"


def test_rates_on_paper_agree_with_estimate_per_layer(full_config):
    changes = {"models": ("resnet18", "resnet50"), "resolutions": (224,)}
    sweep = full_config.sweep.model_copy(update=changes)
    config = full_config.model_copy(update={"sweep": sweep})
    bounds = [cell.rate for cell in paper_sweep(config, ASSUMED | {"share": 1.0}).cells]
    assert bounds == pytest.approx([33_000, 9_500], rel=0.05)
