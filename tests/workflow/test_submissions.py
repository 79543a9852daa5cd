"""Snakemake and its plugin for SLURM on a cluster of scripts: what is submitted, and how often."""

import os
import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from resomap.cluster.nodes import NODES_VARIABLE
from tests.unit.cluster.test_refusals import GENERAL
from tests.workflow.conftest import Checkout

pytestmark = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_slurm") is None, reason="needs the plugin for SLURM"
)
MEMORY = "sbatch: error: Memory specification can not be satisfied\n" + GENERAL
MEMORY += "Requested node configuration is not available"
PROGRAMS = {
    "sinfo": "cat {folder}/nodes",
    "squeue": "",
    "scontrol": "",
    "scancel": "",
    "sacctmgr": "echo lab",
    "sbatch": 'echo "$@" >> {folder}/calls; cat {folder}/error >&2; exit 1',
}


@pytest.fixture
def submit(checkout, tmp_path, monkeypatch) -> Callable[..., subprocess.CompletedProcess]:
    """A function that runs Snakemake on nodes as given, where sbatch fails with `error`."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, body in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{body.format(folder=folder)}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv(NODES_VARIABLE, raising=False)
    site = "default-resources: {slurm_account: lab, slurm_partition: main}\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site/config.yaml").write_text(site)

    def run(nodes: str, *arguments: str, error: str = MEMORY) -> subprocess.CompletedProcess:
        (folder / "nodes").write_text(nodes)
        (folder / "error").write_text(error)
        profiles = ("--profile", str(tmp_path / "site"))
        profiles += ("--workflow-profile", "profiles/slurm")
        done = checkout.snakemake(*arguments, *profiles)
        assert done.returncode == 1, done.stdout + done.stderr
        return done

    return run


def sbatch_calls(checkout: Checkout) -> list[str]:
    calls = Path(checkout.path).parent / "slurm/calls"
    return calls.read_text().splitlines() if calls.exists() else []


def test_request_beyond_every_node_is_refused_before_submission(submit, checkout):
    done = submit("main*|1:00:00|4|3000|(null)|(null)\n", "--set-threads", "resize_data=6")
    lines = [line.strip() for line in done.stderr.splitlines()]
    assert (
        "resize_data (2 jobs): no node of partition main has 6 cores, only up to 4 cores: "
        "--max-threads 4 on the command line"
    ) in lines
    assert any(
        line.startswith("train_run (2 jobs): partition main has no GPU:") for line in lines
    )
    assert sbatch_calls(checkout) == []


@pytest.mark.parametrize("nodes", ["main*|1:00:00|4|3000|gpu:1|(null)\n", ""])
def test_refused_job_is_submitted_once(submit, checkout, nodes):
    done = submit(nodes, "train")
    assert (
        "SLURM refused prepare_data: Memory specification can not be satisfied" in done.stderr
    )
    assert "Trying to restart" not in done.stderr
    (call,) = sbatch_calls(checkout)
    # Defaults are cut to what the nodes have, where that is known.
    requested = re.search(r"-t (\d+) --mem (\d+) .*--cpus-per-task=(\d+)", call).groups()
    assert requested == (("60", "3000", "4") if nodes else ("240", "4096", "8"))


def test_controller_that_is_away_is_tried_again(submit, checkout):
    error = f"{GENERAL}Unable to contact slurm controller (connect failure)"
    submit("main*|infinite|4|8000|gpu:1|(null)\n", "train", "--retries", "2", error=error)
    assert len(sbatch_calls(checkout)) == 3
