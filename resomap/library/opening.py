"""The function that opens a sweep in a notebook or a script; it imports nothing until called."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resomap.library.sweep_data import SweepData


def open_sweep(results: str | Path = "results") -> "SweepData":
    """Return the sweep whose results are in the folder `results`, finished or not.

    Nothing is trained, written or changed, and PyTorch is not loaded. Tables and arrays are read
    when they are first used. ConfigError where the folder holds no sweep, or one of another
    version of ResoMap.
    """
    # Imported here: this module is imported by every `import resomap.something`, and pandas
    # takes half a second to load.
    from resomap.errors import ConfigError
    from resomap.library.sweep_data import SweepData
    from resomap.workflow.lifecycle import RUN_CONFIG, read_recorded_config

    folder = Path(results).expanduser()
    if not (folder / RUN_CONFIG.name).exists():
        inside = folder / RUN_CONFIG.parent
        hint = inside if inside.is_dir() else "the folder results/ in which a sweep wrote"
        raise ConfigError(f"{folder}: no sweep: it has no {RUN_CONFIG.name}; give {hint}")
    return SweepData(folder, read_recorded_config(folder))
