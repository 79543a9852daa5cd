"""The partial report, made at any moment of a sweep and without starting a job."""

import re
import subprocess
import sys
from pathlib import Path

from tests.workflow.conftest import (
    BROKEN_NETWORK,
    BROKEN_OVERLAY,
    SMOKE,
    TIMEOUT_SECONDS,
    Checkout,
)

RUN = "results/runs/custom/tiny_cnn/r24/seed0"


def partial_report(checkout: Checkout, *arguments: str) -> str:
    """Make the partial report and return the page."""
    done = checkout.snakemake("partial_report", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    page = checkout.path / "results/partial/index.html"
    assert str(page) in done.stdout
    return page.read_text(encoding="utf-8")


def list_files(checkout: Checkout, folder: str) -> set[Path]:
    return {path for path in (checkout.path / folder).rglob("*") if path.is_file()}


def test_partial_report_names_missing_runs_and_starts_none(checkout):
    assert "Nothing to report yet" in partial_report(checkout)
    assert list_files(checkout, "results/data") == set()

    checkout.snakemake("results/data/r16/test.npy", "results/data/r24/test.npy")
    page = partial_report(checkout)
    assert "2 of 2 runs" in page
    for resolution in (16, 24):
        assert f"tiny_cnn at {resolution} px, seed 0" in page
    assert list_files(checkout, "results/runs") == set()

    checkout.snakemake(f"{RUN}/evaluation.csv")
    before = list_files(checkout, "results/runs")
    page = partial_report(checkout)
    assert re.search(r"1 of 2 runs .*tiny_cnn at 16 px, seed 0", page)
    assert re.search(r"tiny_cnn scores 0\.\d+ at 24 px\.|is shown to beat the majority", page)
    # What is missing is said once, at the top; the table lists the cell as waiting.
    assert page.count('class="missing"') == 1
    assert page.index('class="missing"') < page.index('id="findings"')
    assert '<span class="tag waiting">waiting</span>' in page
    assert list_files(checkout, "results/runs") == before


def test_partial_report_is_made_beside_a_running_sweep(checkout):
    sweep = subprocess.Popen(
        [str(Path(sys.executable).parent / "snakemake"), "--configfile", SMOKE],
        cwd=checkout.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    page = partial_report(checkout, "--nolock")
    assert sweep.poll() is None
    assert "Nothing to report yet" in page or "2 of 2 runs" in page
    assert sweep.wait(TIMEOUT_SECONDS) == 0
    assert checkout.planned_jobs() == {}


def test_sweep_of_diverged_runs_ends_with_a_report(checkout):
    overlay = {"training": {"optimizer": {"learning_rate": 1e38}}}
    done = checkout.snakemake(overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (checkout.path / "results/report/index.html").read_text(encoding="utf-8")
    assert "2 of 2 runs diverged" in page
    assert "loss is not finite at step" in page
    assert '<span class="tag diverged">diverged</span>' in page
    rows = (checkout.path / "results/tables/runs.csv").read_text().splitlines()
    assert all(",diverged," in row and "nan" not in row for row in rows[1:])


def test_crashed_run_stops_no_other_and_is_retried(checkout):
    checkout.append("resomap/models/custom.py", BROKEN_NETWORK)
    done = checkout.snakemake("evaluate", overlay=BROKEN_OVERLAY)
    assert done.returncode != 0
    assert "it broke" in done.stdout + done.stderr
    assert (checkout.path / RUN.replace("r24", "r16") / "evaluation.csv").exists()
    checkout.snakemake("partial_report", overlay=BROKEN_OVERLAY)
    page = (checkout.path / "results/partial/index.html").read_text(encoding="utf-8")
    assert re.search(r"1 of 2 runs .*logs/train.*broken at 16 px, seed 0", page)
    assert checkout.planned_jobs(BROKEN_OVERLAY, "evaluate") == {
        "train_run": 1,
        "evaluate_run": 1,
    }
