"""`resomap status` of a real sweep: the files that it looks for are those of the rules, and what failed is named."""

import re
import subprocess
import sys

from resomap.config.load import load_config
from resomap.status.jobs import read_jobs
from tests.workflow.conftest import SMOKE, Checkout

BROKEN = {"family": "custom", "builder": "no_such_network", "min_resolution": 8}
OVERLAY = {
    "models": {"broken": BROKEN},
    "sweep": {"models": ["tiny_cnn", "broken"], "resolutions": [16]},
}


def status(checkout: Checkout) -> str:
    program = "from resomap.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, "status"],
        cwd=checkout.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_files_of_every_job_are_those_of_its_rule(checkout):
    overlay = {
        "sweep": {"models": ["tiny_cnn", "simple_cnn"], "seeds": [0, 1]},
        "mlflow": {"enabled": True},
    }
    dry = checkout.snakemake("-n", overlay=overlay)
    said = re.findall(
        r"^    output: (.+)\n    log: (.+)$", dry.stdout + dry.stderr, re.MULTILINE
    )
    logs = {output: log for outputs, log in said for output in outputs.split(", ")}
    jobs = read_jobs(
        load_config(
            checkout.path / "config", [checkout.path / SMOKE, checkout.path / "mine.yaml"]
        ),
        "none",
    )
    assert {str(job.output): logs.get(str(job.output)) for job in jobs} == {
        str(job.output): str(job.log) for job in jobs
    }
    assert {log for _, log in said} - {str(job.log) for job in jobs} == {
        "logs/data/identity.log"
    }  # one line, never worth a row


def test_a_sweep_with_a_job_that_fails_is_told_as_it_stands(checkout):
    checkout.snakemake("evaluate", overlay=OVERLAY)
    text = status(checkout)
    rows = {
        name: cells
        for name, *cells in (
            line.split() for line in text.splitlines() if line and not line.startswith(" ")
        )
    }
    assert "Snakemake is not at work." in text
    assert [rows[stage] for stage in ("train", "evaluate", "explain")] == [
        ["1", "1", "-"],
        ["1", "-", "1"],
        ["-", "-", "2"],
    ]
    assert "  train broken 16 px seed 0: error: models.broken: no_such_network" in text
    assert "    logs/train/custom/broken/r16/seed0.log\n" in text
    assert re.search(
        r"core hours of jobs that are done \(train 0\.\d+, evaluate 0\.0\d+\)", text
    )
