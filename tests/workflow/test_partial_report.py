"""The report of what there is so far: at any moment, beside a running sweep too, and without starting anything."""

import re
import subprocess
import sys
from pathlib import Path

from tests.workflow.conftest import SMOKE, TIMEOUT_SECONDS, Checkout

RUN = "results/runs/custom/tiny_cnn/r24/seed0"


def partial(checkout: Checkout, *arguments: str) -> str:
    """Make the partial report; the page."""
    done = checkout.snakemake("partial_report", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(checkout.path / "results/partial/index.html") in done.stdout
    return (checkout.path / "results/partial/index.html").read_text(encoding="utf-8")


def files(checkout: Checkout, folder: str) -> set[str]:
    return {
        str(path.relative_to(checkout.path))
        for path in (checkout.path / folder).rglob("*")
        if path.is_file()
    }


def test_it_tells_what_there_is_and_what_is_missing_and_triggers_nothing(checkout):
    assert "Nothing to report yet" in partial(checkout)
    assert files(checkout, "results/data") == set()

    checkout.snakemake("results/data/r16/test.npy", "results/data/r24/test.npy")
    page = partial(checkout)
    assert (
        "2 of 2 runs have no results yet: tiny_cnn at 16 px, seed 0; tiny_cnn at 24 px, seed 0."
        in page
    )
    assert files(checkout, "results/runs") == set()

    checkout.snakemake(f"{RUN}/evaluation.csv")
    before = files(checkout, "results/runs")
    page = partial(checkout)
    assert "1 of 2 runs has no results yet: tiny_cnn at 16 px, seed 0." in page
    assert re.search(r"tiny_cnn scores 0\.\d+ .* at 24 px", page)
    assert files(checkout, "results/runs") == before


def test_it_is_made_beside_a_sweep_that_runs(checkout):
    sweep = subprocess.Popen(
        [str(Path(sys.executable).parent / "snakemake"), "--configfile", SMOKE],
        cwd=checkout.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    page = partial(checkout, "--nolock")
    assert sweep.poll() is None
    assert "Nothing to report yet" in page or "have no results yet" in page
    assert sweep.wait(TIMEOUT_SECONDS) == 0
    assert checkout.planned() == {}


def test_a_sweep_whose_every_run_diverged_ends_well_and_says_so(checkout):
    overlay = {"training": {"optimizer": {"learning_rate": 1e38}}}
    done = checkout.snakemake(overlay=overlay)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (checkout.path / "results/report/index.html").read_text(encoding="utf-8")
    assert "2 of 2 runs diverged: tiny_cnn at 16 px, seed 0 (the " in page
    assert "loss is not finite at step" in page
    assert '<span class="tag diverged">diverged</span>' in page
    rows = (checkout.path / "results/tables/runs.csv").read_text().splitlines()
    assert all(",diverged," in row and "nan" not in row for row in rows[1:])


def test_a_run_that_crashes_stops_no_other_is_named_and_is_tried_again_alone(checkout):
    broken = {"family": "custom", "builder": "no_such_network", "min_resolution": 8}
    overlay = {
        "models": {"broken": broken},
        "sweep": {"models": ["tiny_cnn", "broken"], "resolutions": [16]},
    }
    done = checkout.snakemake("evaluate", overlay=overlay)
    assert done.returncode != 0
    assert "no_such_network" in done.stdout + done.stderr
    assert (checkout.path / RUN.replace("r24", "r16") / "evaluation.csv").exists()
    checkout.snakemake("partial_report", overlay=overlay)
    page = (checkout.path / "results/partial/index.html").read_text(encoding="utf-8")
    assert (
        "1 of 2 runs has ended without a result (the same command tries again; why stands in logs/train): broken at 16 px, seed 0."
        in page
    )
    assert checkout.planned(overlay, "evaluate") == {"train_run": 1, "evaluate_run": 1}
