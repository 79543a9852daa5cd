"""ResoMap as a module of another workflow, twice side by side."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from resomap.workflow.lifecycle import read_run_config
from tests.image_files import write_classes

ROOT = Path(__file__).parents[2]
RUN = "results/runs/custom/tiny_cnn/r16/seed0/metrics.json"
SNAKEFILE = """
configfile: "project.yaml"


rule collect:
    input:
        expand("{folder}/RUN", folder=["fish", "own"]),
    output:
        "both.txt",
    shell:
        "ls {input} > {output}"


module fish:
    snakefile: "ROOT/Snakefile"
    config: config["fish"]
    prefix: "fish"


use rule * from fish as fish_*


module own:
    snakefile: "ROOT/Snakefile"
    config: config["own"]
    prefix: "own"


use rule * from own as own_*


onstart:
    fish.onstart()
    own.onstart()


onsuccess:
    fish.onsuccess()
    own.onsuccess()
"""
TINY = {"models": ["tiny_cnn"], "resolutions": [16], "seeds": [0]}


def project_config() -> dict:
    """Return the configuration of a project with both sweeps, of one training each."""
    smoke = yaml.safe_load((ROOT / "config/presets/smoke.yaml").read_text(encoding="utf-8"))
    fish = {**smoke, "sweep": TINY, "explainability": {"enabled": False}}
    own = {
        "data": {"dataset": "folder", "path": "photos"},
        "sweep": TINY,
        "training": {"epochs": 1, "batch_size": 8},
    }
    return {"fish": fish, "own": own, "a key of the project": 1}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The directory of another workflow, with images of its own."""
    folder = tmp_path_factory.mktemp("project")
    write_classes(folder / "photos", {"cat": 24, "dog": 24})
    (folder / "Snakefile").write_text(
        SNAKEFILE.replace("ROOT", str(ROOT)).replace("RUN", RUN), encoding="utf-8"
    )
    config = yaml.safe_dump(project_config())
    (folder / "project.yaml").write_text(config, encoding="utf-8")
    return folder


def snakemake(project: Path, *arguments: str) -> str:
    """Run Snakemake in `project` and return what it printed."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-m", "snakemake", "--cores", "2", *arguments]
    run = subprocess.run(
        command, cwd=project, env=outside, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_two_modules_run_side_by_side(project):
    snakemake(project)
    assert (project / "both.txt").read_text().split() == [f"fish/{RUN}", f"own/{RUN}"]
    classes = {
        name: json.loads((project / name / "results/data/manifest.json").read_text())["classes"]
        for name in ("fish", "own")
    }
    assert classes["own"] == ["cat", "dog"]
    assert len(classes["fish"]) == 8
    # What the hooks write, each for its own sweep; and nothing where a single sweep would be.
    assert read_run_config(project / "own").data.folder.path == "photos"
    assert read_run_config(project / "fish").data.reef.train == 64
    assert not (project / "results").exists()
    assert not list(project.glob("*/results/.state"))
    assert "Nothing to be done" in snakemake(project)


def test_file_of_weights_is_not_below_the_prefix(project):
    (project / "start.safetensors").write_bytes(b"")
    change = "own={training: {start: start.safetensors}}"
    planned = snakemake(project, "-n", "own_train", "--config", change)
    assert "start.safetensors" in planned


def test_pathvars_of_the_caller_are_named_and_not_used(project):
    pathvars = 'pathvars:\n    results="elsewhere",\n'
    (project / "other.smk").write_text(pathvars + (project / "Snakefile").read_text())
    planned = snakemake(project, "-n", "--snakefile", "other.smk")
    assert "ResoMap writes to own/results: its module takes `prefix:`" in planned
