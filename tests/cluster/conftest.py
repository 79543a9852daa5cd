"""A SLURM cluster on this machine and sweeps submitted to it; a second pytest worker waits for the first."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from resomap.config.load import merge
from tests.cluster.slurm import Slurm, missing_requirement

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 1500
RESULTS = (
    *("checkpoints/**/*.safetensors", "runs/**/*.csv", "runs/**/*.npz", "agreement/**/*.csv"),
    *(f"tables/{name}.csv" for name in ("evaluation", "classes", "groups", "matrix", "knees")),
    *(f"tables/{name}.csv" for name in ("explanations", "agreement", "faithfulness")),
    *(f"tables/{name}.csv" for name in ("sanity", "interventions", "alarms")),
)
MEASURED_COLUMNS = re.compile("second|latency|memory")
# Without loader threads, each of which would request another core.
FEW_CORES = {"system": {"training": {"num_workers": 0}}}
# What a user writes for a site: docs/cluster.md.
SITE_PROFILE = {"default-resources": {"slurm_account": "lab", "slurm_partition": "main"}}
SHORT_WAITS = (
    *("--slurm-init-seconds-before-status-checks", "1"),
    *("--latency-wait", "10"),
    *("--max-threads", "2"),
)


@dataclass(frozen=True)
class Sweep:
    """A working directory in which Snakemake runs, on the cluster or locally."""

    path: Path
    slurm: Slurm

    def write(self, overlay: dict[str, Any], site: dict[str, Any] | None = None) -> "Sweep":
        """Write the user's overlay and the site's profile."""
        (self.path / "site").mkdir(parents=True, exist_ok=True)
        profile = {**SITE_PROFILE, **(site or {})}
        files = {"mine.yaml": merge(FEW_CORES, overlay), "site/config.yaml": profile}
        for name, values in files.items():
            (self.path / name).write_text(yaml.safe_dump(values), encoding="utf-8")
        return self

    def plan(self) -> "Sweep":
        """Measure what trainings will request."""
        files = [f"--configfile={ROOT}/config/presets/smoke.yaml", "--configfile=mine.yaml"]
        subprocess.run(
            [str(Path(sys.executable).parent / "resomap"), "plan", *files],
            cwd=self.path,
            capture_output=True,
            check=True,
        )
        return self

    def start(self, *arguments: str, local: bool = False) -> subprocess.Popen:
        """Start Snakemake with the smoke preset and the overlay; its output goes to snakemake.log."""
        program = str(Path(__file__).with_name("quick_polling.py"))
        command = [sys.executable, "-P", program, "-s", f"{ROOT}/Snakefile"]
        command += arguments
        if not local:
            profiles = ["--profile", "site", "--workflow-profile", f"{ROOT}/profiles/slurm"]
            command += [*profiles, *SHORT_WAITS]
        command += ["--configfile", f"{ROOT}/config/presets/smoke.yaml", "mine.yaml"]
        environment = self.slurm.environment | {"OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        with (self.path / "snakemake.log").open("w") as log:
            return subprocess.Popen(
                command, cwd=self.path, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def run(self, *arguments: str, local: bool = False) -> str:
        """Run Snakemake, which must succeed, and return its output."""
        self.finish(self.start(*arguments, local=local))
        return self.output()

    def finish(self, snakemake: subprocess.Popen) -> None:
        """Wait for a Snakemake that must succeed."""
        assert snakemake.wait(TIMEOUT_SECONDS) == 0, self.output()

    def output(self) -> str:
        """Return the output of the last Snakemake."""
        return (self.path / "snakemake.log").read_text()

    def log(self) -> str:
        """Return the log of the last Snakemake: all its messages, of which the terminal has few."""
        logs = (self.path / ".snakemake/log").glob("*.snakemake.log")
        return max(logs, key=lambda path: path.name).read_text()

    def copy(self, path: Path) -> "Sweep":
        """Copy the directory with its file times."""
        shutil.copytree(self.path, path, copy_function=shutil.copy2, symlinks=True)
        return Sweep(path, self.slurm)

    def results(self) -> dict[str, Any]:
        """Return every result that does not depend on time, by path: bytes, or a table without times."""
        results: dict[str, Any] = {}
        for pattern in RESULTS:
            for path in sorted(self.path.glob(f"results/{pattern}")):
                results[str(path.relative_to(self.path))] = path.read_bytes()
        for name in ("runs", "cells"):
            path = self.path / f"results/tables/{name}.csv"
            if path.exists():
                table = pd.read_csv(path)
                measured = [column for column in table if MEASURED_COLUMNS.search(column)]
                results[name] = table.drop(columns=measured).to_csv()
        assert results, "there are no results"
        return results


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A cluster with two fake GPUs."""
    with Path(tempfile.gettempdir(), "resomap-test-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reason = missing_requirement()
        if reason:
            assert "CI" not in os.environ, f"CI installs SLURM; {reason}"
            pytest.skip(reason)
        # A short path: that of a socket has 107 characters at most.
        with tempfile.TemporaryDirectory(prefix="slurm") as folder:
            cluster = Slurm(Path(folder))
            try:
                cluster.start()
                yield cluster
            finally:
                cluster.stop()
