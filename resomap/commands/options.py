"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

OverlayFiles = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="YAML file with your changes to config/. Repeat it for several files. Default: "
        "resomap.yaml, if this directory has it.",
    ),
]
SweepDirectory = Annotated[
    Path,
    typer.Option(metavar="DIR", help="Directory in which the sweep ran; it holds results/."),
]
