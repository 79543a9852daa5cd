"""The command `resomap status`: the progress of the sweep in this directory."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from resomap.commands.options import OverlayFiles
from resomap.errors import ConfigError

if TYPE_CHECKING:
    from resomap.config.schema import Config


def status(configfile: OverlayFiles = None) -> None:
    """Show the progress of the sweep in this directory, running or not.

    Without --configfile it shows the sweep that ran here last. Nothing is started or changed.
    """
    from resomap.config.load import SHIPPED_CONFIG, load_config
    from resomap.status.summary import read_status
    from resomap.status.table import status_lines
    from resomap.workflow.lifecycle import RUN_CONFIG

    # The overlays of the last sweep are not repeated here, so its merged copy is read.
    if configfile or not RUN_CONFIG.exists():
        config = load_config(SHIPPED_CONFIG, configfile or [])
    else:
        config = _load_run_config()
    lines = list(status_lines(read_status(config)))
    typer.echo("\n".join(lines))


def _load_run_config() -> "Config":
    """Return the configuration that the last sweep wrote into this directory."""
    from resomap.workflow.lifecycle import read_run_config

    try:
        return read_run_config(Path())
    except ConfigError as error:
        raise ConfigError(
            f"{error}\npass the sweep's own files: --configfile mine.yaml"
        ) from error
