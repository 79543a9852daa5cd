"""Findings about limits: which there are, and their numbers."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from resomap.analysis.findings.finding import Finding
from resomap.analysis.findings.limits import (
    above_native,
    changed_recipes,
    coarse_maps,
    confounds,
    disturbed_measurements,
    failed_sanity_checks,
    incomplete_attributions,
    limit_findings,
    missing_runs,
    unmeasured,
)
from resomap.analysis.tables import Tables, read_tables
from tests.synthetic import Sweep, aggregate

RUN = {"model": "net", "resolution": 24, "seed": 0, "status": "ok", "reason": None}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    folder = tmp_path_factory.mktemp("results")
    sweep = Sweep(
        test=80,
        val=40,
        valid=False,
        failed_methods=("saliency",),
        waiting=(("tiny_cnn", 24, 1),),
    )
    aggregate(folder, sweep)
    return read_tables(folder / "tables")


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def test_limits_of_sweep_are_in_order(tables: Tables) -> None:
    assert kinds(limit_findings(tables, native_resolution=64)) == [
        "disturbed measurements",
        "one seed",
        "two seeds",
        "above native",
        "failed sanity check",
        "one training set",
    ]


def test_missing_runs_are_counted_and_named(tables: Tables) -> None:
    (finding,) = missing_runs(tables.runs)
    assert (finding.state, finding.numbers["runs"]) == ("waiting", (1, None, None, 12))
    subject = finding.parts[0].subject
    assert (subject["model"], subject["resolution"], subject["seed"]) == ("tiny_cnn", 24, 1)


def test_changed_recipes_are_found() -> None:
    runs = pd.DataFrame(
        [
            RUN | {"learning_rate": 0.1, "micro_batch": None},
            RUN | {"learning_rate": 0.05, "micro_batch": None, "seed": 1},
            RUN | {"learning_rate": 0.1, "micro_batch": 16, "seed": 2},
        ]
    )
    found = changed_recipes(runs)
    assert kinds(found) == ["halved learning rate", "accumulated batch"]
    assert [finding.parts[0].subject["seed"] for finding in found] == [1, 2]


def test_disturbed_measurements_count_reasons(tables: Tables) -> None:
    profiles = tables.profiles.astype({"valid": object, "why_invalid": object}).copy()
    profiles["valid"] = True
    profiles.loc[0, ["valid", "why_invalid"]] = [False, "crowded"]
    profiles.loc[1, ["valid", "why_invalid"]] = [False, "throttled"]
    (finding,) = disturbed_measurements(profiles)
    assert finding.numbers["measurements"] == (2, None, None, len(profiles))
    assert finding.subject["reasons"] == {"crowded": 1, "throttled": 1}


def test_unmeasured_cells_are_found_by_status(tables: Tables) -> None:
    profiles = tables.profiles.copy()
    profiles.loc[profiles["resolution"] == 96, "status"] = "infeasible"
    profiles = profiles.astype({"why_invalid": object})
    profiles.loc[0, ["status", "why_invalid"]] = ["unsupported", "it cannot be exported"]
    found = unmeasured(profiles)
    assert [finding.subject["reasons"] for finding in found] == [[], ["it cannot be exported"]]
    assert [finding.subject["status"] for finding in found] == ["infeasible", "unsupported"]
    assert [finding.numbers["measurements"].value for finding in found] == [6, 1]


def test_seeds_are_counted_per_cell(tables: Tables) -> None:
    by_kind = {finding.kind: finding for finding in limit_findings(tables, 96)}
    assert by_kind["one seed"].numbers["cells"] == (1, None, None, 6)
    assert by_kind["two seeds"].numbers["cells"] == (5, None, None, 6)


def test_differing_environment_is_confound() -> None:
    (finding,) = confounds({"torch": ["2.11", "2.15"], "device": ["cpu"]})
    assert finding.subject == {"name": "torch", "values": ["2.11", "2.15"]}


@pytest.mark.parametrize(("native", "above"), [(96, None), (64, [96])])
def test_resolutions_above_native_are_found(native: int, above: list[int] | None) -> None:
    found = above_native([24, 48, 96, 96], native)
    assert [finding.subject["resolutions"] for finding in found] == ([above] if above else [])


def test_failed_sanity_check_has_part_per_cell(tables: Tables) -> None:
    (finding,) = failed_sanity_checks(tables.sanity)
    assert finding.subject["method"] == "saliency"
    assert len(finding.parts) == 6
    assert finding.parts[0].numbers["value"].value == pytest.approx(0.79, abs=0.02)


def test_large_completeness_error_is_found(tables: Tables) -> None:
    rows = tables.explanations
    assert incomplete_attributions(rows) == []
    errors = rows["completeness_error"].mask(rows["resolution"] == 96, 0.12)
    changed = replace(tables, explanations=rows.assign(completeness_error=errors))
    found = {finding.kind: finding for finding in limit_findings(changed, 96)}
    parts = found["incomplete attributions"].parts
    assert {part.subject["resolution"] for part in parts} == {96}


def test_coarse_maps_are_found_by_method() -> None:
    rows: list[dict[str, Any]] = [
        {"method": "gradcam", "resolution": px, "grid": grid} for px, grid in ((24, 3), (48, 6))
    ]
    (finding,) = coarse_maps(pd.DataFrame(rows))
    assert finding.subject == {"method": "gradcam", "resolutions": [24]}
