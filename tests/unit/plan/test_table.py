import pytest

from resomap.plan.forecast import Capacity, forecast_cells, forecast_sweep
from resomap.plan.table import plan_lines
from resomap.workflow.resources import plan_settings
from tests.unit.plan.test_forecast import IMAGES, RECORD


@pytest.fixture
def plan(config) -> dict:
    """A plan of one model at two resolutions, of which the larger does not fit."""
    killed = {"status": "infeasible", "reason": "the process was killed"}
    model = config.models[0]
    return {
        "machine": "a processor",
        "settings": plan_settings(config),
        "images": {"train": 1600},
        "seeds": 2,
        "cells": forecast_cells(config, model, {24: RECORD, 48: killed}, IMAGES),
        "totals": forecast_sweep(
            config, {model.name: [RECORD]}, IMAGES, Capacity(1, False, 0.05)
        ),
    }


def test_plan_lists_cells_and_totals(plan):
    lines = list(plan_lines(plan))
    assert lines[0].split()[:4] == ["model", "px", "step", "ms"]
    assert lines[0].split()[-3:] == ["peak", "MiB", "fits"]
    assert lines[1].split()[:4] == ["tiny_cnn", "24", "500.0", "64"]
    assert lines[2].split() == ["tiny_cnn", "48", "no"]
    assert lines[3] == "does not fit: tiny_cnn at 48 px: the process was killed"
    assert lines[4].endswith("8 epochs of 1,600 images, 2 seeds")
    assert lines[5].startswith("2 trainings: ")
    assert "with 1 job at once" in lines[7]
    assert lines[8].startswith("price: ") and lines[8].endswith("at 0.05 a core hour")
    assert lines[9].startswith("disk: ")


def test_busy_machine_is_reported(plan):
    assert "busy" not in "\n".join(plan_lines(plan))
    totals = plan["totals"]
    totals["stage_wall_seconds"]["train"] = 2 * totals["stage_cpu_seconds"]["train"]
    assert "this machine was busy" in "\n".join(plan_lines(plan))
