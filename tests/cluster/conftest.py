"""A cluster for the tests of this folder, and sweeps sent to it. One cluster a machine: a second worker waits for the first."""

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
from tests.cluster.slurm import Slurm, why_not_here

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 1500
RESULTS = (
    *("checkpoints/**/*.safetensors", "runs/**/*.csv", "runs/**/*.npz", "agreement/**/*.csv"),
    *(f"tables/{name}.csv" for name in ("evaluation", "classes", "groups", "matrix", "knees")),
    *(
        f"tables/{name}.csv"
        for name in (
            "explanations",
            "agreement",
            "faithfulness",
            "sanity",
            "interventions",
            "alarms",
        )
    ),
)
MEASURED = re.compile("second|latency|memory")
# One thread that prepares batches would want a core more; the site's own profile is what a user writes: docs/cluster.md.
FEW_CORES = {"system": {"training": {"num_workers": 0}}}
SITE = {"default-resources": {"slurm_account": "lab", "slurm_partition": "main"}}
SOON = (
    "--slurm-init-seconds-before-status-checks",
    "1",
    "--latency-wait",
    "10",
    "--max-threads",
    "2",
)


@dataclass(frozen=True)
class Sweep:
    """A working directory, and Snakemake run in it: on the cluster, or here."""

    path: Path
    slurm: Slurm

    def write(self, overlay: dict[str, Any], site: dict[str, Any] | None = None) -> "Sweep":
        """Put down the user's file and the site's profile."""
        (self.path / "site").mkdir(parents=True, exist_ok=True)
        (self.path / "mine.yaml").write_text(
            yaml.safe_dump(merge(FEW_CORES, overlay)), encoding="utf-8"
        )
        (self.path / "site/config.yaml").write_text(
            yaml.safe_dump({**SITE, **(site or {})}), encoding="utf-8"
        )
        return self

    def plan(self) -> "Sweep":
        """Measure what trainings will ask for."""
        files = [f"--configfile={ROOT}/config/presets/smoke.yaml", "--configfile=mine.yaml"]
        subprocess.run(
            [str(Path(sys.executable).parent / "resomap"), "plan", *files],
            cwd=self.path,
            capture_output=True,
            check=True,
        )
        return self

    def start(self, *arguments: str, here: bool = False) -> subprocess.Popen:
        """Snakemake with the smoke preset and the user's file; what it says goes to said.log."""
        where = (
            []
            if here
            else ["--profile", "site", "--workflow-profile", f"{ROOT}/profiles/slurm", *SOON]
        )
        files = ["--configfile", f"{ROOT}/config/presets/smoke.yaml", "mine.yaml"]
        command = [
            str(Path(sys.executable).parent / "snakemake"),
            "-s",
            f"{ROOT}/Snakefile",
            *arguments,
            *where,
            *files,
        ]
        environment = {
            name: value
            for name, value in self.slurm.environment.items()
            if name != "PYTHONPATH"
        } | {"OMP_NUM_THREADS": "1"}
        with (self.path / "said.log").open("w") as said:
            return subprocess.Popen(
                command, cwd=self.path, env=environment, stdout=said, stderr=subprocess.STDOUT
            )

    def run(self, *arguments: str, here: bool = False) -> str:
        """What Snakemake says of a run that must succeed."""
        code = self.start(*arguments, here=here).wait(TIMEOUT_SECONDS)
        assert code == 0, self.said()
        return self.said()

    def said(self) -> str:
        """What Snakemake said last."""
        return (self.path / "said.log").read_text()

    def copy(self, path: Path) -> "Sweep":
        """The same directory again, times kept."""
        shutil.copytree(self.path, path, copy_function=shutil.copy2, symlinks=True)
        return Sweep(path, self.slurm)

    def results(self) -> dict[str, Any]:
        """Every result into which no clock enters, by its path: the file's bytes, or a table without what is measured."""
        found: dict[str, Any] = {}
        for name in RESULTS:
            for path in sorted(self.path.glob(f"results/{name}")):
                found[str(path.relative_to(self.path))] = path.read_bytes()
        for path in filter(
            Path.exists,
            (self.path / f"results/tables/{name}.csv" for name in ("runs", "cells")),
        ):
            columns = pd.read_csv(path)
            found[path.name] = columns.drop(
                columns=[name for name in columns if MEASURED.search(name)]
            ).to_csv()
        assert found, "there are no results"
        return found


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """A cluster with two fake GPUs."""
    with Path(tempfile.gettempdir(), "resomap-test-cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reason = why_not_here()
        if reason:
            assert "CI" not in os.environ, f"CI installs SLURM; {reason}"
            pytest.skip(reason)
        with tempfile.TemporaryDirectory(
            prefix="slurm"
        ) as folder:  # a short path: sockets have no room for pytest's
            cluster = Slurm(Path(folder))
            try:
                cluster.start()
                yield cluster
            finally:
                cluster.stop()
