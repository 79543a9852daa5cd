"""A wheel is enough: it holds the workflow, and continues the sweep of a checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AT_ROOT = ("rules", "config", "profiles", "report")
ENVIRONMENTS = ("report.yaml", "torch.yaml", "tracking.yaml")


@pytest.fixture(scope="module")
def site(built, tmp_path_factory) -> Path:
    """The folder into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


def shipped_files() -> Iterator[tuple[Path, str]]:
    """Yield each file of the checkout that the wheel must hold, and its place there."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        top, _, rest = name.partition("/")
        if top in ("resomap", "workflow_scripts"):
            yield ROOT / name, name
        if top in AT_ROOT or name == "Snakefile" or (top == "envs" and rest in ENVIRONMENTS):
            yield ROOT / name, f"resomap/shipped/{name}"


def test_wheel_holds_the_files_of_the_checkout(site):
    expected = {place: path for path, place in shipped_files() if path.exists()}
    found = {
        str(path.relative_to(site))
        for path in site.rglob("*")
        if path.is_file() and "dist-info" not in str(path)
    }
    assert found == set(expected)
    for place, path in expected.items():
        assert (site / place).read_bytes() == path.read_bytes(), place


def resomap(site: Path, directory: Path, *words: str) -> subprocess.CompletedProcess:
    """Run a command of the installed wheel in `directory`."""
    return subprocess.run(
        [sys.executable, "-P", "-c", "from resomap.cli import app; app()", *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_wheel_continues_the_sweep_of_a_checkout(finished, site, tmp_path):
    for name in ("results", "logs", ".snakemake"):
        shutil.copytree(finished.path / name, tmp_path / name, copy_function=shutil.copy2)
    shutil.copy(ROOT / "config/presets/smoke.yaml", tmp_path / "resomap.yaml")
    assert resomap(site, tmp_path, "snakefile").stdout == f"{site}/resomap/shipped/Snakefile\n"
    # The jobs are the same values, code included; else some would run again.
    idle = resomap(site, tmp_path, "run")
    assert idle.returncode == 0, idle.stderr
    assert "Nothing to be done" in idle.stderr
    report = tmp_path / "results/report/index.html"
    assert f"Report: {report}\n" in idle.stdout
    report.unlink()
    again = resomap(site, tmp_path, "run", "report", "--configfile", "resomap.yaml")
    assert again.returncode == 0, again.stdout + again.stderr
    assert report.exists()
    assert "choose" in resomap(site, tmp_path, "choose", "--help").stdout


def test_error_of_a_user_is_a_line_and_its_code_is_passed_on(site, tmp_path):
    (tmp_path / "resomap.yaml").write_text("training: {epochs: many}\n")
    failed = resomap(site, tmp_path, "run", "-n")
    assert failed.returncode == 1
    output = failed.stdout + failed.stderr
    assert "config/training.yaml: training.epochs" in output
    assert "Traceback" not in output
