"""Findings about cost: their states and numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from resomap.analysis.findings.cost import (
    energy_findings,
    inversions,
    latency_of_models,
    steepest_latency,
    time_breakdown,
)
from resomap.analysis.findings.finding import Finding
from resomap.analysis.tables import Tables, read_tables
from tests.synthetic import Sweep, aggregate

VARIANT = {
    "family": "custom",
    "model": "tiny_cnn",
    "variant": "eager",
    "precision": "fp32",
    "memory_format": "channels_last",
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    variants = ("eager", "compiled", "training_step")
    sweep = Sweep(test=80, val=40, seeds=(0,), explained=0, variants=variants, energy=True)
    aggregate(folder, sweep)
    return read_tables(folder / "tables")


def latency(tables: Tables, **growth: Any) -> Finding:
    """Find the latency of a synthetic profile with a row of cost.csv that `growth` changes."""
    row = VARIANT | {"batch_size": 1, "smallest": 24, "n_resolutions": 3, "crossover_px": 48.0}
    row |= {"latency_exponent": 0.6, "latency_misfit": 0.1, "memory_exponent": 0.6}
    row |= {"crossover_ratio": 1.01, "crossover_ratio_high": 1.04}
    return latency_of_models(tables.profiles, pd.DataFrame([row | growth]))[0]


def test_latency_is_compared_between_ends(tables: Tables) -> None:
    finding = latency(tables)
    assert (finding.subject["smallest"], finding.subject["largest"]) == (24, 96)
    numbers = finding.numbers
    ratio = numbers["largest"].value / numbers["smallest"].value
    assert numbers["times_latency"].value == pytest.approx(ratio)
    assert numbers["times_pixels"].value == 16
    assert numbers["smallest"].low < numbers["smallest"].value < numbers["smallest_p90"].value  # type: ignore[operator]


def test_growth_is_that_of_single_image(tables: Tables) -> None:
    growth, crossover = latency(tables).parts
    assert growth.numbers["latency_exponent"].value == 0.6
    assert (crossover.state, crossover.subject["resolution"]) == ("shown", 48)


def test_unproven_crossover_stays_open(tables: Tables) -> None:
    assert latency(tables, crossover_ratio_high=1.4).parts[1].state == "open"


@pytest.mark.parametrize(
    "growth",
    [{"latency_exponent": None, "crossover_px": None}, {"variant": "compiled"}],
    ids=["unknown", "other variant"],
)
def test_unknown_growth_has_no_part(tables: Tables, growth: dict[str, Any]) -> None:
    assert not latency(tables, **growth).parts


def test_steepest_latency_needs_two_resolutions(tables: Tables) -> None:
    models = latency_of_models(tables.profiles, tables.cost)
    steepest = steepest_latency(models)
    assert steepest is not None
    assert steepest.subject["model"] in ("tiny_cnn", "simple_cnn")
    smallest = tables.profiles[tables.profiles["resolution"] == 24]
    assert steepest_latency(latency_of_models(smallest, tables.cost)) is None


@pytest.mark.parametrize(
    ("forward", "stage", "cells"),
    [
        ([0.5, 1.0, 3.0], "decode", 2),
        ([0.5, 1.0, 1.5], "decode", 3),
        ([3.0, 4.0, 5.0], "forward", 3),
    ],
)
def test_breakdown_finds_longest_stage(forward: list[float], stage: str, cells: int) -> None:
    stages = pd.DataFrame(
        {
            "decode_ms": 2.0,
            "resize_ms": 0.5,
            "copy_ms": float("nan"),
            "forward_ms": forward,
            "total_ms": [2.5 + ms for ms in forward],
        }
    )
    finding = time_breakdown(stages)
    assert finding.subject["stage"] == stage
    assert finding.numbers["cells"][:1] == (cells,)
    assert finding.numbers["network_share"].low == pytest.approx(
        forward[0] / (2.5 + forward[0])
    )


def test_inversions_are_alarms(tables: Tables) -> None:
    assert inversions(tables.neighbours) == []
    row = VARIANT | {"batch_size": 32, "resolution": 160, "larger": 192, "n_rounds": 7}
    row |= {"ratio": 0.9, "ratio_low": 0.88, "ratio_high": 0.92}
    verdicts = ["saves", "inverted", "inverted"]
    found = inversions(pd.DataFrame([row | {"verdict": verdict} for verdict in verdicts]))
    assert [finding.state for finding in found] == ["fires", "fires"]
    assert found[0].numbers["ratio"] == (0.9, 0.88, 0.92, 7)
    assert found[0].numbers["joint_confidence"] == (0.99, None, None, 3)


def test_energy_is_of_choice_and_of_most_efficient_cell(tables: Tables) -> None:
    choice, most = energy_findings(tables)
    assert (choice.subject["model"], choice.subject["resolution"]) == ("simple_cnn", 96)
    assert choice.numbers["image"].value == pytest.approx(0.0561, abs=1e-4)
    assert choice.numbers["correct_image"].value > choice.numbers["image"].value
    assert (most.subject["model"], most.subject["resolution"]) == ("tiny_cnn", 24)
    eager = tables.energy[tables.energy["variant"] == "eager"]
    rates = eager["images_per_second_per_watt"]
    assert most.numbers["images_per_watt"].value == rates.max()


def test_unmeasured_cost_gives_no_findings(tmp_path: Path) -> None:
    small = {"models": ("tiny_cnn",), "resolutions": (24,), "seeds": (0,), "explained": 0}
    aggregate(tmp_path, Sweep(**small, test=40, val=24, profiled=False))  # type: ignore[arg-type]
    bare = read_tables(tmp_path / "tables")
    assert latency_of_models(bare.profiles, bare.cost) == []
    assert inversions(bare.neighbours) == energy_findings(bare) == []
    assert time_breakdown(bare.stages).state == "unknown"


def test_energy_without_choice_is_most_efficient_only(tables: Tables) -> None:
    undecided = replace(tables, choice=tables.choice | {"choice": None})
    assert [finding.kind for finding in energy_findings(undecided)] == ["most images per watt"]
