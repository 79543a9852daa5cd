"""Names that the shell completes: runs and cells of the sweep in this directory, and models.

They are read from the names of folders, without a configuration, so that an answer comes at once.
"""

from pathlib import Path

from resomap.workflow.artifacts import RUN_FOLDER, RUN_PATH

RUNS = Path(RUN_FOLDER.removesuffix(RUN_PATH))


def complete_runs(incomplete: str) -> list[str]:
    """Return the runs whose name begins so: `custom/tiny_cnn/r48/seed0`, or their folders."""
    folders = sorted(RUNS.glob("*/*/r*/seed*"))
    # Whoever has begun with the folder of a file system gets the folder.
    shown = folders if incomplete.startswith(RUNS.parts[0]) else _names(folders)
    return [name for name in map(str, shown) if name.startswith(incomplete)]


def _names(folders: list[Path]) -> list[Path]:
    return [folder.relative_to(RUNS) for folder in folders]


def complete_cells(incomplete: str) -> list[str]:
    """Return the cells whose name begins so: `tiny_cnn@48`."""
    cells = []
    for folder in sorted(RUNS.glob("*/*/r*")):
        cells.append(f"{folder.parent.name}@{folder.name.removeprefix('r')}")
    return [name for name in cells if name.startswith(incomplete)]


def complete_models(incomplete: str) -> list[str]:
    """Return the models that can be built whose name begins so."""
    from resomap.config.library_names import matching_names
    from resomap.config.load import SHIPPED_CONFIG, load_config
    from resomap.errors import ConfigError

    try:
        names = matching_names(f"{incomplete}*", load_config(SHIPPED_CONFIG).models)
    except ConfigError:  # no model has such a name
        return []
    return list(names)
