"""A checkout for every workflow test, so that its edits do not touch this one."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from tests.optional_packages import require_packages

ROOT = Path(__file__).parents[2]
SMOKE = "config/presets/smoke.yaml"
TIMEOUT_SECONDS = 1500
# It passes the check before the first job, which runs without images, and fails in its training.
BROKEN_NETWORK = """
def _broken(num_classes: int) -> nn.Module:
    def refuse(module: nn.Module, images: tuple[Tensor, ...]) -> None:
        if images[0].device.type != "meta":
            raise RuntimeError("it broke")

    network = SimpleCNN(num_classes, channels=[8, 8])
    network.register_forward_pre_hook(refuse)
    return network


CUSTOM_BUILDERS["broken"] = _broken
"""
BROKEN = {"family": "custom", "builder": "broken"}
BROKEN_OVERLAY = {
    "models": {"broken": BROKEN},
    "sweep": {"models": ["tiny_cnn", "broken"], "resolutions": [16]},
}


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository in which Snakemake runs."""

    path: Path

    def snakemake(
        self, *arguments: str, overlay: dict | None = None, smoke: bool = True
    ) -> subprocess.CompletedProcess:
        """Run Snakemake with `arguments`, the smoke preset, and `overlay` on top."""
        command = [str(Path(sys.executable).parent / "snakemake"), *arguments]
        command += self._configfiles(overlay, smoke=smoke)
        environment = {
            name: value for name, value in os.environ.items() if name != "PYTHONPATH"
        }
        return subprocess.run(
            command,
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )

    def planned_jobs(
        self, overlay: dict | None = None, target: str = "all", *, fork: bool = False
    ) -> dict[str, int]:
        """Return the jobs of each rule that a dry run would start, without the target itself.

        With `fork`, by `dry_run`.
        """
        run = self.dry_run if fork else partial(self.snakemake, "-n")
        dry = run(target, "--quiet", "rules", overlay=overlay)
        output = dry.stdout + dry.stderr
        assert dry.returncode == 0, output
        counts = dict(re.findall(r"^(\w+)\s+(\d+)$", output, flags=re.MULTILINE))
        return {
            rule: int(count) for rule, count in counts.items() if rule not in (target, "total")
        }

    def dry_run(
        self, *arguments: str, overlay: dict | None = None
    ) -> subprocess.CompletedProcess:
        """Make a dry run in a fork of this process, which has Snakemake and the package loaded.

        It takes a sixth of the time of a process of its own. Edits of the package in this
        checkout need one.
        """
        # Here, as the campaign of faults imports this file.
        from tests.faults.forked_jobs import run_forked, snakemake_main

        _preload()
        words = ["-n", *arguments, *self._configfiles(overlay, smoke=True)]

        def call() -> None:
            sys.argv = ["snakemake", *words]
            snakemake_main(words)

        code, output = run_forked(self.path, call, "dry_run.log")
        return subprocess.CompletedProcess(words, code, output, "")

    def _configfiles(self, overlay: dict | None, *, smoke: bool) -> list[str]:
        """Write the overlay and return the option that names it and the smoke preset."""
        files = [SMOKE] if smoke else []
        if overlay:
            (self.path / "mine.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
            files.append("mine.yaml")
        return ["--configfile", *files] if files else []

    def status(self) -> str:
        """Return what `resomap status` prints."""
        done = subprocess.run(
            [sys.executable, "-c", "from resomap.cli import app; app()", "status"],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace `old`, which must be in `file`, by `new`."""
        path = self.path / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def append(self, file: str, text: str) -> None:
        """Add lines at the end of `file`."""
        path = self.path / file
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")


@cache
def _preload() -> None:
    from tests.faults.forked_jobs import preload
    from tests.faults.sweep import new_sweep

    with TemporaryDirectory() as folder:
        preload(new_sweep(Path(folder) / "resomap"))


def copy_repository(target: Path) -> Checkout:
    """Copy the files that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return Checkout(target)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return copy_repository(tmp_path / "resomap")


@pytest.fixture(scope="session")
def copy_to() -> Callable[[Path], Checkout]:
    return copy_repository


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the results of the smoke sweep, which tests must not change.

    The sweep runs once for all workers of pytest; each has a copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "finished").exists():
            _run_smoke_sweep(shared / "unfinished").rename(shared / "finished")
    path = tmp_path_factory.mktemp("finished") / "resomap"
    shutil.copytree(shared / "finished", path, copy_function=shutil.copy2)
    return Checkout(path)


def _run_smoke_sweep(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)  # of a worker whose sweep failed
    run = copy_repository(folder).snakemake()
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture
def finished_copy(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, with its file times, for a test to change."""
    shutil.copytree(finished.path, tmp_path / "resomap", copy_function=shutil.copy2)
    return Checkout(tmp_path / "resomap")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and of the source archive that it is built from."""
    require_packages("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    checkout = copy_repository(tmp_path_factory.mktemp("source"))
    _build(checkout.path, folder, "sdist")
    # Python 3.13 warns without a filter, and early versions of 3.11 have none.
    options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    shutil.unpack_archive(next(folder.glob("*.tar.gz")), folder, **options)
    _build(next(path for path in folder.iterdir() if path.is_dir()), folder, "wheel")
    return folder


def _build(source: Path, folder: Path, target: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
