"""The command `resomap parity`: other preprocessings than that of the training, and their cost."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resomap.commands.completion import complete_cells
from resomap.commands.options import SweepDirectory
from resomap.errors import ConfigError, suggest

if TYPE_CHECKING:
    from resomap.config.schema import Config
    from resomap.deploy.preprocessing import Preprocessing

TOO_MANY_FLIPS = 3
SMALLEST, LARGEST = 8, 4096


def parity(
    cell: Annotated[
        str | None,
        typer.Argument(
            metavar="CELL",
            autocompletion=complete_cells,
            help="Model and its training resolution: tiny_cnn@48. Default: the choice.",
        ),
    ] = None,
    directory: SweepDirectory = Path(),
    resolution: Annotated[
        list[int] | None,
        typer.Option(
            min=SMALLEST,
            max=LARGEST,
            metavar="SIDE",
            help="Side in pixels of the network's input. Repeatable.",
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=2, metavar="NUMBER", help="Number of test images. Default: all."),
    ] = None,
    path: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A preprocessing of the table that will run; --max-flips holds for these. "
            "Repeatable. Default: all that mean to do what the training did.",
        ),
    ] = None,
    max_flips: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of answers that may change. Default: system.deploy.max_flips.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count the answers that another preprocessing would change.

    The preprocessing of the training is compared with that of other libraries.
    The exit code is 3 where more answers change than --max-flips allows.

    Example: resomap parity tiny_cnn@48 --images 200 --max-flips 0.01
    """
    from resomap.deploy.parity_table import excess_line, parity_lines
    from resomap.deploy.preprocessing_parity import exceeding, measure_preprocessing
    from resomap.shipping.runs import find_cell, open_run
    from resomap.workflow.lifecycle import read_run_config

    config = read_run_config(directory)
    chosen = find_cell(cell, directory / "results", config)
    results = []
    for side in resolution or (chosen.resolution,):
        source = open_run(directory / "results", config, chosen, side)
        _check_names(path or (), source.preprocessing)
        if images:
            source = source.sample(images)
        results += measure_preprocessing(
            source.images,
            source.labels,
            source.preprocessing,
            source.networks,
            config.report.confidence,
        )
    if as_json:
        typer.echo(json.dumps([each.as_row() for each in results], indent=1))
    else:
        typer.echo("\n".join(parity_lines(results, config.report.confidence, str(chosen))))
    # What did not run has not kept to any limit.
    skipped = {each.name: each.skipped for each in results if each.skipped}
    for name in (each for each in path or () if each in skipped):
        raise ConfigError(f"--path: {name} was not measured: {skipped[name]}")
    limit = _allowed_flips(max_flips, config)
    excess = [] if limit is None else exceeding(results, limit, path or ())
    for each in excess:
        typer.echo(f"error: {excess_line(each, limit or 0.0)}", err=True)
    if excess:
        raise typer.Exit(TOO_MANY_FLIPS)


def _allowed_flips(flag: float | None, config: "Config") -> float | None:
    deploy = getattr(config.system, "deploy", None)
    return flag if flag is not None else getattr(deploy, "max_flips", None)


def _check_names(names: Sequence[str], preprocessing: "Preprocessing") -> None:
    from resomap.deploy.preprocessing_parity import list_alternatives

    known = [each.name for each in list_alternatives(preprocessing)]
    wrong = [f"{name!r} ({suggest(name, known)})" for name in names if name not in known]
    if wrong:
        raise ConfigError(f"--path: unknown preprocessing {', '.join(wrong)}")
