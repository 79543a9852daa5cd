"""What some machines lack: packages of the extras, the package registry.

Tests that need them are skipped without them, but in CI fail.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

LOCK = Path(__file__).parents[1] / "envs" / "requirements.lock"


def require_packages(*names: str) -> None:
    """Skip the test module where a package is not installed; in CI that is a failure."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        _skip(f"{', '.join(missing)} not installed", "CI installs every extra")


def build_environment(folder: Path, *packages: str) -> Path:
    """Return the Python of a new environment with packages of the registry, as locked.

    Where the registry does not answer, the test is skipped; in CI that is a failure.
    """
    uv = shutil.which(
        "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if uv is None:
        _skip("uv is not installed", "CI has it")
    python = folder / "bin" / "python"
    # As few packages as the machine of an application has: not even those around these tests.
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = {**outside, "UV_HTTP_TIMEOUT": "20"}
    commands = (
        [uv, "venv", "-q", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "-q", "--python", str(python), "-c", str(LOCK), *packages],
    )
    for command in commands:
        made = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        if made.returncode:
            _skip(f"the registry gives no packages: {made.stderr.strip()}", "CI reaches it")
    return python


def _skip(reason: str, promise: str) -> None:
    assert "CI" not in os.environ, f"{promise}, but: {reason}"
    pytest.skip(reason, allow_module_level=True)
