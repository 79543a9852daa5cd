"""The formulas of docs/notes/past-one-cluster.md are those of their papers, and the page is the one that the script makes."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import cluster
from benchmarks.failures import (
    daly_interval,
    expected_waste,
    first_order_waste,
    kept_interval,
    young_interval,
)
from benchmarks.large_sweep import ASSUMED, Cell, Sweep, paper_rate, paper_sweep, planned_sweep
from resomap.config.load import find_architecture, load_config

ASSUMPTIONS = {name: assumption.value for name, assumption in ASSUMED.items()}
between_failures = st.floats(60, 1e8)
saves = st.floats(1e-3, 50)
factors = st.floats(0.1, 10)


@given(saves, between_failures, factors)
def test_no_interval_wastes_less_than_youngs_to_first_order(save, between, factor):
    best = young_interval(save, between)
    assert first_order_waste(best, save, between) <= first_order_waste(
        factor * best, save, between
    ) * (1 + 1e-12)
    assert first_order_waste(best, save, between) == pytest.approx(sqrt(2 * save / between))


@given(st.floats(1e-3, 1.9), between_failures, factors)
def test_no_interval_wastes_much_less_than_dalys_in_the_complete_model(share, between, factor):
    save, restart = share * between, 0.0
    best = daly_interval(save, between)
    other = factor * best
    assert (
        1 + expected_waste(best, save, between, restart)
        <= (1 + expected_waste(other, save, between, restart)) * 1.01
    )


@given(st.floats(1e-3, 1.9), between_failures)
def test_dalys_interval_is_never_worse_than_youngs(share, between):
    save = share * between
    daly, young = (
        expected_waste(interval(save, between), save, between, 0.0)
        for interval in (daly_interval, young_interval)
    )
    assert daly <= young * (1 + 1e-9)


@given(between_failures)
def test_daly_becomes_young_where_a_save_costs_nothing(between):
    assert daly_interval(1e-9 * between, between) == pytest.approx(
        young_interval(1e-9 * between, between), rel=1e-4
    )


def test_where_a_save_takes_twice_the_time_between_failures_daly_saves_once_in_that_time():
    assert daly_interval(200.0, 100.0) == 100.0
    assert daly_interval(300.0, 100.0) == 100.0


@given(saves, st.floats(1, 1e4))
def test_without_failures_only_saving_is_wasted(save, interval):
    assert expected_waste(interval, save, 1e13, 300.0) == pytest.approx(
        save / interval, rel=1e-3, abs=1e-3
    )


def test_a_simulation_of_failures_wastes_what_the_complete_model_says():
    interval, save, between, restart, segments = 300.0, 20.0, 1000.0, 50.0, 20_000
    failures, wall = np.random.default_rng(0), 0.0
    for _ in range(segments):
        needed = (
            interval + save
        )  # a segment counts once all of it, its save included, went by without a failure
        while (until := failures.exponential(between)) < needed:
            wall += until
            needed = restart + interval + save
        wall += needed
    assert wall / (segments * interval) - 1 == pytest.approx(
        expected_waste(interval, save, between, restart), rel=0.03
    )


def test_what_is_kept_is_the_setting_unless_saving_would_take_more_than_its_share():
    assert kept_interval(0.1, 30.0, 0.02) == 30.0
    assert kept_interval(9.0, 30.0, 0.02) == 450.0


def test_a_rate_is_bound_by_arithmetic_and_traffic_or_by_launches():
    of_a_card = ASSUMPTIONS | {
        "share": 1.0,
        "flops": 6e12,
        "bandwidth": 15e9,
        "passes": 7.5,
        "batch": 100,
        "launch": 1e-3,
    }
    assert paper_rate(10**9, 10**6, 1, 224, of_a_card) == pytest.approx(1 / (1e-3 + 1e-3))
    assert paper_rate(10**9, 10**6, 1, 112, of_a_card) == pytest.approx(4 / (1e-3 + 1e-3))
    assert paper_rate(10**9, 10**6, 1000, 224, of_a_card) == pytest.approx(100 / 1.0)


@pytest.fixture
def plan(config):
    architecture = find_architecture(config.models, "tiny_cnn").model_dump(mode="json")
    fits = {"model": "tiny_cnn", "status": "ok", "architecture": architecture}
    cells = [
        {**fits, "resolution": 64, "train_images_per_second": 1000.0},
        {**fits, "resolution": 96, "train_images_per_second": 500.0},
    ]
    cells.append(
        {"model": "vgg16", "status": "infeasible", "architecture": {}, "resolution": 64}
    )
    told = {
        "cells": cells,
        "seeds": 2,
        "machine": "a card",
        "settings": {"training": {"epochs": 36}},
        "totals": {"unit": "GPU"},
    }
    return told | {"images": {"train": 9000, "val": 3000, "test": 3000, "classes": 10}}


def test_a_plan_is_reckoned_with_what_was_measured_in_it(plan):
    sweep = planned_sweep(plan)
    assert [sweep.hours(cell) for cell in sweep.cells] == [
        pytest.approx(0.1),
        pytest.approx(0.2),
    ]
    assert sweep.training_hours == pytest.approx(0.6)
    assert sweep.models == {"tiny_cnn": sweep.cells[0].parameters}
    assert sweep.evaluation_hours() == pytest.approx(
        2 * 2 * 6000 / 3 * (1 / 1000 + 1 / 500) / 3600
    )


def test_the_page_of_a_plan_says_where_it_was_measured_and_nothing_of_paper(plan, config):
    page = cluster.render(planned_sweep(plan), ASSUMPTIONS, config)
    assert "measured on a card" in page
    assert "`share`" not in page
    assert "on paper" not in page
    assert "| tiny_cnn | 0.1 | 0.2 | 0.6 |" in page


def test_an_assumption_may_be_replaced_and_a_wrong_name_is_told():
    assert cluster.assume(["price=1.8"])["price"] == 1.8
    with pytest.raises(SystemExit, match="known are train"):
        cluster.assume(["prize=1.8"])
    with pytest.raises(SystemExit, match="give a number"):
        cluster.assume(["price=cheap"])


def test_failures_that_end_one_of_many_trainings_cost_the_same_on_any_cluster():
    sweep = Sweep(
        [Cell("vgg16", 224, 1000.0, 138_000_000)], 1_280_000, 50_000, 1000, 90, 1, "GPU", None
    )
    few, many = (
        cluster.failing(sweep, ASSUMPTIONS | {"gpus": gpus}, 30.0) for gpus in (8, 512)
    )
    assert few["interrupted"] == many["interrupted"]
    assert few["cluster_hours"] == 64 * many["cluster_hours"]


def test_the_page_is_the_one_that_the_script_makes():
    config = load_config(
        cluster.ROOT / "config", [cluster.ROOT / "config" / "presets" / "full.yaml"]
    )
    made = cluster.render(paper_sweep(config, ASSUMPTIONS), ASSUMPTIONS, config)
    assert cluster.PAGE.read_text(encoding="utf-8") == made, (
        "run `python -m benchmarks.cluster`"
    )


def test_a_page_on_paper_agrees_with_an_estimate_layer_by_layer():
    config = load_config(
        cluster.ROOT / "config", [cluster.ROOT / "config" / "presets" / "full.yaml"]
    )
    few = config.model_copy(
        update={
            "sweep": config.sweep.model_copy(
                update={"models": ("resnet18", "resnet50"), "resolutions": (224,)}
            )
        }
    )
    bounds = [cell.rate for cell in paper_sweep(few, ASSUMPTIONS | {"share": 1.0}).cells]
    assert bounds == [pytest.approx(33_000, rel=0.05), pytest.approx(9_500, rel=0.05)]
