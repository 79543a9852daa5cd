"""The optional packages of an export, imported where they are used."""

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from resomap.config.deploy import DEPLOY_KEY, EXPORT_PACKAGES, install_hint
from resomap.errors import ConfigError


def import_package(module: str) -> Any:
    """Import a module of an optional package; ConfigError says what is missing."""
    # By name: the packages are extras, and mypy runs without them.
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if error.name == package and isinstance(error, ModuleNotFoundError):
            raise ConfigError(f"{DEPLOY_KEY}: {install_hint([package])}") from error
        # Such as a library of the system, or a package of its own, that it does not find.
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{DEPLOY_KEY}: {package} cannot be imported: {reason}") from error


def package_versions() -> dict[str, str]:
    """Return the versions of what determines an exported network, of resomap if it has one."""
    versions = {name: version(name) for name in ("torch", *EXPORT_PACKAGES)}
    try:
        return {**versions, "resomap": version("resomap")}
    except PackageNotFoundError:  # a checkout on the path
        return versions
