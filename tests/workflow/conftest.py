"""A checkout for every workflow test, so that its edits do not touch this one."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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
        files = [SMOKE] if smoke else []
        if overlay:
            (self.path / "mine.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
            files.append("mine.yaml")
        command = [str(Path(sys.executable).parent / "snakemake"), *arguments]
        if files:
            command += ["--configfile", *files]
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

    def planned_jobs(self, overlay: dict | None = None, target: str = "all") -> dict[str, int]:
        """Return the jobs of each rule that a dry run would start, without the target itself."""
        dry = self.snakemake("-n", target, "--quiet", "rules", overlay=overlay)
        assert dry.returncode == 0, dry.stdout + dry.stderr
        counts = dict(
            re.findall(r"^(\w+)\s+(\d+)$", dry.stdout + dry.stderr, flags=re.MULTILINE)
        )
        return {
            rule: int(count) for rule, count in counts.items() if rule not in (target, "total")
        }

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
    """A checkout with the results of the smoke sweep, which tests must not change."""
    checkout = copy_repository(tmp_path_factory.mktemp("finished") / "resomap")
    run = checkout.snakemake()
    assert run.returncode == 0, run.stdout + run.stderr
    return checkout


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
