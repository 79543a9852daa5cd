"""The title of an experiment without a name: that of its data."""

import os
from contextlib import suppress
from pathlib import Path

from resomap.config.data import Data
from resomap.config.schema import Experiment

# As the limit of a name that is written in the configuration.
MAX_LENGTH = 200


def name_experiment(experiment: Experiment, data: Data) -> Experiment:
    """Return the experiment, with the title of its data where it has no name."""
    if experiment.name is not None:
        return experiment
    return experiment.model_copy(update={"name": data_title(data)[:MAX_LENGTH]})


def data_title(data: Data) -> str:
    """Return the name of the folder or of the list, else that of the dataset."""
    if data.folder is not None:
        return _file_title(data.folder.path) or "Images"
    if data.csv is not None:
        return Path(_file_title(data.csv.path)).stem or "Images"
    # `reef` is the name of a dataset, and so of a key, in lower case.
    return f"{data.dataset[0].upper()}{data.dataset[1:]}"


def _file_title(path: str | None) -> str:
    """Return the last name of a path; blank for the root of the file system."""
    name = Path(path or ".").name
    # `.` and `..` have no name of their own. Other links keep the name that the user knows.
    if name in ("", ".."):
        # Whether the path can be opened is not checked here: RuntimeError is a loop of links.
        with suppress(OSError, ValueError, RuntimeError):
            name = Path(path or ".").resolve().name
    # A name of other bytes than UTF-8 could not be written into the page.
    return os.fsencode(name).decode("utf-8", "replace")
