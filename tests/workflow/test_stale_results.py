"""Results of another recipe never stand in tables, reports, the status or copies of this one."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.conftest import Checkout

RATE = {"training": {"optimizer": {"learning_rate": 0.002}}}
ONE_RESOLUTION = {"sweep": {"resolutions": [24]}}
BY_TIME = ("--rerun-triggers", "mtime")


def read_rows(checkout: Checkout, name: str) -> list[dict[str, str]]:
    path = checkout.path / "results" / name
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run(checkout: Checkout, *arguments: str, overlay: dict[str, Any] | None = None) -> str:
    """Run Snakemake, which must succeed, and return its output with every job."""
    done = checkout.snakemake("--printshellcmds", *arguments, overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def fail(checkout: Checkout, *arguments: str, overlay: dict[str, Any] | None = None) -> str:
    """Run Snakemake, which must fail without a traceback, and return its output."""
    done = checkout.snakemake(*arguments, overlay=overlay)
    text = done.stdout + done.stderr
    assert done.returncode != 0, text
    assert "Traceback" not in text
    return text


def test_disabled_explanations_of_old_networks_are_not_shown(finished_copy):
    assert len(read_rows(finished_copy, "tables/explanations.csv")) > 0
    page = finished_copy.path / "results/report/index.html"
    assert "Integrated Gradients" in page.read_text(encoding="utf-8")
    run(finished_copy, overlay=RATE | {"explainability": {"enabled": False}})
    assert "stale (" not in finished_copy.status()
    for name in ("explanations", "agreement", "faithfulness", "sanity", "interventions"):
        assert read_rows(finished_copy, f"tables/{name}.csv") == []
    assert "Integrated Gradients" not in page.read_text(encoding="utf-8")
    # The old explanations lie there still, and are of other networks.
    assert list((finished_copy.path / "results/runs").glob("*/*/*/*/explanations/*.csv"))
    # Enabled again, they are made of the new networks.
    again = run(finished_copy, "tables", overlay=RATE)
    assert len(re.findall(r"rule explain_run:$", again, re.MULTILINE)) == 2
    assert len(read_rows(finished_copy, "tables/explanations.csv")) > 0


def test_changed_recipe_is_stale_in_status_and_partial_report(finished_copy):
    assert "stale (" not in finished_copy.status()
    run(finished_copy, "partial_report", overlay=RATE)
    page = (finished_copy.path / "results/partial/index.html").read_text(encoding="utf-8")
    assert "2 of 2 runs have results of another configuration" in page
    for name in ("tiny_cnn at 16 px, seed 0", "tiny_cnn at 24 px, seed 0"):
        assert name in page
    rows = read_rows(finished_copy, "partial/tables/runs.csv")
    assert [row["status"] for row in rows] == ["stale", "stale"]
    assert {row["accuracy"] for row in rows} == {""}
    for name in ("evaluation", "classes", "explanations", "agreement", "matrix"):
        assert read_rows(finished_copy, f"partial/tables/{name}.csv") == []
    # The costs do not depend on the learning rate.
    assert len(read_rows(finished_copy, "partial/tables/profiles.csv")) > 0
    config = finished_copy.path / "results/run_config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("learning_rate: 0.005", "learning_rate: 0.002"))
    table = finished_copy.status()
    assert "stale (the same command runs them again)" in table
    assert "  train tiny_cnn 24 px seed 0 and 1 more: made under another" in table
    assert "  evaluate tiny_cnn" in table


def test_smaller_sweep_leaves_no_rows_behind(finished_copy):
    # The evaluations of the other runs name the removed resolution, too.
    text = fail(finished_copy, *BY_TIME, overlay=ONE_RESOLUTION)
    assert "`--rerun-triggers mtime`" in text
    run(finished_copy, "tables", overlay=ONE_RESOLUTION)
    for name in ("runs", "cells", "classes", "explanations"):
        rows = read_rows(finished_copy, f"tables/{name}.csv")
        assert {row["resolution"] for row in rows} == {"24"}


@pytest.mark.parametrize(
    ("overlay", "rules"),
    [
        ({"sweep": {"seeds": [0, 1]}}, {"train_run": 2, "evaluate_run": 2, "explain_run": 2}),
        (
            {"sweep": {"models": ["tiny_cnn", "simple_cnn"]}},
            {"train_run": 2, "evaluate_run": 2, "explain_run": 2, "profile_model": 1},
        ),
        ({"sweep": {"resolutions": [16, 24, 32]}}, {"train_run": 1, "evaluate_run": 3}),
    ],
    ids=["seed", "model", "resolution"],
)
def test_larger_sweep_is_noticed_from_files_alone(finished_copy, overlay, rules):
    dry = run(finished_copy, "-n", "--quiet", "rules", *BY_TIME, overlay=overlay)
    planned = dict(re.findall(r"^(\w+) +(\d+)$", dry, re.MULTILINE))
    for rule, count in (rules | {"build_report": 1}).items():
        assert planned.get(rule) == str(count), rule


def test_weakened_trigger_with_stale_results_is_an_error_that_names_it(finished_copy):
    text = fail(finished_copy, *BY_TIME, overlay=RATE)
    assert "belong to another configuration" in text
    assert "`--rerun-triggers mtime`" in text
    # Without the flag the same command makes them again.
    assert finished_copy.planned_jobs(RATE, fork=True)["train_run"] == 2


def test_touch_keeps_results_after_a_change_of_code_only(finished_copy):
    before = read_rows(finished_copy, "tables/runs.csv")
    finished_copy.append("resomap/entry/evaluate.py", "ANOTHER = 1")
    run(finished_copy, "--touch")
    again = run(finished_copy)
    assert "rule evaluate_run" not in again
    assert read_rows(finished_copy, "tables/runs.csv") == before
    # Another recipe is no change of code: its results stay stale.
    run(finished_copy, "--touch", overlay=RATE)
    assert "belong to another configuration" in fail(finished_copy, overlay=RATE)


def test_deleted_receipt_reruns_its_job(finished_copy):
    receipts = finished_copy.path / "results/receipts"
    (receipts / "evaluate/custom/tiny_cnn/r24/seed0.json").unlink()
    jobs = finished_copy.planned_jobs(fork=True)
    assert (jobs.get("evaluate_run"), jobs.get("train_run")) == (1, None)


def test_moved_directory_has_nothing_to_do(finished_copy, tmp_path):
    moved = tmp_path / "elsewhere"
    finished_copy.path.rename(moved)
    assert Checkout(Path(moved)).planned_jobs(fork=True) == {}
