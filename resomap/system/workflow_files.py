"""Where the files of the workflow are: Snakefile, rules, configuration, profiles and captions.

A checkout has them at its root, and a wheel in the folder `shipped` of the package
(`force-include` in pyproject.toml).
"""

import hashlib
import sys
from contextlib import suppress
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CODE = ("resomap", "workflow_scripts")
"""The packages that jobs import."""


def workflow_folder(package: Path = PACKAGE) -> Path:
    """Return the folder that holds the Snakefile, for this code: of a checkout or of a wheel."""
    shipped = package / "shipped"
    return shipped if shipped.is_dir() else package.parent


def snakefile() -> Path:
    """Return the path of the Snakefile."""
    return workflow_folder() / "Snakefile"


def snakemake_command() -> list[str]:
    """Return the command that starts the Snakemake of this Python."""
    # -P: else a file such as `types.py` in the working directory is imported in place of Python's.
    return [sys.executable, "-P", "-m", "snakemake"]


def container_image(package: Path = PACKAGE) -> Path:
    """Return where `--sdm apptainer` expects the image: in the checkout, else in this directory."""
    folder = workflow_folder(package)
    return (folder if folder == package.parent else Path.cwd()) / "resomap.sif"


def import_folder(own_environment: bool, package: Path = PACKAGE) -> Path | None:
    """Return the folder that jobs need on their path to import this code; None if none.

    `own_environment`: jobs run in an environment of conda, or in a container.
    """
    if workflow_folder(package) == package.parent:
        return package.parent
    return _linked_code(package) if own_environment else None


def _linked_code(package: Path) -> Path:
    """Return a folder below the working directory with links to the installed code alone."""
    # The installed folder itself would put every other package of this Python before those of
    # the job's environment.
    installed = package.parent.resolve()
    name = hashlib.sha256(str(installed).encode()).hexdigest()[:16]
    folder = Path(".snakemake", f"resomap-{name}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for each in CODE:
        with suppress(FileExistsError):  # also by a job that starts at the same moment
            (folder / each).symlink_to(installed / each, target_is_directory=True)
    return folder
