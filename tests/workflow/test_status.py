"""`resomap status` of real sweeps: its files are those of the rules, and failures are named."""

import re

from resomap.config.load import load_config
from resomap.status.jobs import read_jobs
from tests.workflow.conftest import BROKEN_NETWORK, BROKEN_OVERLAY, SMOKE


def test_files_of_jobs_equal_those_of_rules(checkout):
    overlay = {
        "sweep": {"models": ["tiny_cnn", "simple_cnn"], "seeds": [0, 1]},
        "mlflow": {"enabled": True},
    }
    dry = checkout.snakemake("-n", overlay=overlay)
    pattern = r"^    output: (.+)\n    log: (.+)$"
    rules = re.findall(pattern, dry.stdout + dry.stderr, re.MULTILINE)
    logs = {output: log for outputs, log in rules for output in outputs.split(", ")}
    overlays = [checkout.path / SMOKE, checkout.path / "mine.yaml"]
    jobs = read_jobs(load_config(checkout.path / "config", overlays), "none")
    for job in jobs:
        assert logs.get(str(job.output)) == str(job.log)
    others = set(logs.values()) - {str(job.log) for job in jobs}
    hidden = {log for log in others if log.startswith("logs/sweep/")}
    assert len(hidden) == 3
    assert others - hidden == {"logs/data/identity.log"}


def test_failed_job_is_shown_with_its_error(checkout):
    checkout.append("resomap/models/custom.py", BROKEN_NETWORK)
    checkout.snakemake("evaluate", overlay=BROKEN_OVERLAY)
    text = checkout.status()
    rows = {}
    for line in text.splitlines():
        if line and not line.startswith(" "):
            stage, *counts = line.split()
            rows[stage] = counts
    assert "Snakemake is not running." in text
    assert rows["train"] == ["1", "1", "-"]
    assert rows["evaluate"] == ["1", "-", "1"]
    assert rows["explain"] == ["-", "-", "2"]
    assert "  train broken 16 px seed 0: RuntimeError: it broke" in text
    assert "    logs/train/custom/broken/r16/seed0.log\n" in text
    assert re.search(
        r"took [\d.]+ core (seconds|minutes) \(train [\d.]+, evaluate [\d.]+\)", text
    )
