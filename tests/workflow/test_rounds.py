"""`resomap run --until-settled` with a real Snakemake: killed, continued, and completed to the grid."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import SMOKE, TIMEOUT_SECONDS, Checkout

OVERLAY = {
    "sweep": {"seeds": [0, 1]},
    "explainability": {"enabled": False},
    "system": {"device": "cpu", "training": {"num_workers": 0}},
}
KILLS = int(os.environ.get("RESOMAP_TEST_KILLS", "1"))
"""More of them are a campaign, by hand."""
PATTERNS = ("checkpoints/**/*.safetensors", "runs/**/*.csv", "runs/**/*.npz")


def start(checkout: Checkout, *arguments: str) -> subprocess.Popen:
    """Start `resomap run` in a process group of its own; its output goes to run.log."""
    (checkout.path / "mine.yaml").write_text(yaml.safe_dump(OVERLAY), encoding="utf-8")
    command = [sys.executable, "-c", "from resomap.cli import app; app()", "run", *arguments]
    command += ["--cores", "2", "--configfile", SMOKE, "mine.yaml"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (checkout.path / "run.log").open("a") as log:
        return subprocess.Popen(
            command,
            cwd=checkout.path,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run(checkout: Checkout, *arguments: str) -> str:
    """Run to the end, which must be a success; returns the output of all calls so far."""
    code = start(checkout, *arguments).wait(TIMEOUT_SECONDS)
    output = (checkout.path / "run.log").read_text()
    assert code == 0, output
    return output


def read_rounds(checkout: Checkout) -> dict[str, Any]:
    """Return the record without its times."""
    record = json.loads((checkout.path / "results/rounds.json").read_text())
    return {**record, "rounds": [{**one, "seconds": None} for one in record["rounds"]]}


def read_results(checkout: Checkout) -> dict[str, bytes]:
    """Return the files of the runs, by path."""
    results = checkout.path / "results"
    found = {
        str(path.relative_to(results)): path.read_bytes()
        for pattern in PATTERNS
        for path in results.glob(pattern)
    }
    assert found
    return found


@pytest.fixture(scope="module")
def whole(copy_to, tmp_path_factory) -> tuple[Checkout, str]:
    """A checkout whose rounds nothing disturbed, and their output."""
    checkout = copy_to(tmp_path_factory.mktemp("rounds") / "resomap")
    return checkout, run(checkout, "--until-settled")


def test_rounds_train_by_seeds_and_end_in_the_report(whole):
    checkout, output = whole
    record = read_rounds(checkout)
    assert [len(one["runs"]) for one in record["rounds"]] == [2, 2]
    assert record["end"] == "seeds"  # too few images to learn anything
    assert "Round 2 of at most 2: 2 trainings: tiny_cnn at 16 and 24 px" in output
    page = (checkout.path / "results/report/index.html").read_text()
    assert 'id="rounds"' in page


def test_grid_after_the_rounds_trains_nothing_again(whole):
    checkout, _ = whole
    planned = checkout.planned_jobs(overlay=OVERLAY)
    assert "train_run" not in planned
    assert "evaluate_run" not in planned


def test_killed_rounds_end_in_the_same_bytes(whole, copy_to, tmp_path):
    checkout = copy_to(tmp_path / "resomap")
    moments = random.Random(0)
    for _ in range(KILLS):
        process = start(checkout, "--until-settled")
        time.sleep(moments.uniform(8, 30))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # As after any Snakemake that was killed.
        run(checkout, "--unlock")
    run(checkout, "--until-settled")
    assert read_rounds(checkout) == read_rounds(whole[0])
    assert read_results(checkout) == read_results(whole[0])
