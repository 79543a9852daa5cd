"""Packages of the extras: tests that need them are skipped without them, but in CI fail."""

import os
from importlib.util import find_spec

import pytest


def require_packages(*names: str) -> None:
    """Skip the test module where a package is not installed; in CI that is a failure."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        reason = f"{', '.join(missing)} not installed"
        assert "CI" not in os.environ, f"CI installs every extra, but: {reason}"
        pytest.skip(reason, allow_module_level=True)
