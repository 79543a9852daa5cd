"""The command `resomap ship`: the folder that an application needs to run a trained network."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from resomap.commands.completion import complete_cells
from resomap.commands.options import SweepDirectory
from resomap.errors import ConfigError, DataError

# `config.deploy` has this type too; importing it would load pydantic for every command.
Precision = Literal["fp32", "int8"]


def ship(
    cell: Annotated[
        str | None,
        typer.Argument(
            metavar="CELL",
            autocompletion=complete_cells,
            help="Model and its training resolution: tiny_cnn@48; with --cascade its stages: "
            "'tiny_cnn@24 > tiny_cnn@48'. Default: the choice, or the cascade that saves most.",
        ),
    ] = None,
    directory: SweepDirectory = Path(),
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Exported network (.onnx). Default: that of the sweep."
        ),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="fp32, or int8 as the sweep has quantised it.")
    ] = "fp32",
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Ship a cascade of results/tables/cascades.csv.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the bundle. Default: bundle/MODEL@RESOLUTION."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="SEED", help="Seed of the run. Default: the first.")
    ] = None,
) -> None:
    """Write a trained network as a folder that needs no torch.

    This bundle holds the model, its preprocessing, labels, a card and programs.
    It is written only if the exported network answers as the trained one on its
    golden images, in int8 as the quantised one did when it was exported.
    A cascade is a bundle of several.

    Example: resomap ship tiny_cnn@48 --output bundle/reef
    """
    from resomap.shipping.cascade import open_cascade
    from resomap.shipping.runs import find_cell, open_run
    from resomap.shipping.shipment import choose_run, open_shipment
    from resomap.workflow.lifecycle import read_run_config

    _check_options(model, precision, cascade)
    config, results = read_run_config(directory), directory / "results"
    if cascade:
        stages = open_cascade(cell, results, config, seed)
        folder = output or Path("bundle", stages.folder_name)
        write_proven(folder, stages.write, stages.prove)
        typer.echo(f"{folder}: {stages}; try `python {folder / 'cascade.py'} --check`")
        return
    chosen = find_cell(cell, results, config)
    source = open_run(results, config, chosen, chosen.resolution)
    run = choose_run(source, seed)
    shipment = open_shipment(results, config, source, run, precision=precision, model=model)
    folder = output or Path("bundle", shipment.folder_name)
    write_proven(folder, shipment.write, shipment.prove)
    typer.echo(f"{folder}: {shipment}; try `python {folder / 'predict.py'} --check`")
    loss = shipment.facts.loss
    if loss is not None and not loss.certified:
        typer.echo(f"warning: {shipment.facts.cell}: {loss.verdict()}", err=True)


def _check_options(model: Path | None, precision: Precision, cascade: bool) -> None:
    if cascade and (model is not None or precision == "int8"):
        raise ConfigError(
            "--cascade: the accuracy of a cascade is known for the networks of the sweep in fp32: "
            "leave out --model and --precision"
        )
    if model is not None and precision == "int8":
        raise ConfigError(
            "--model: the answers of an int8 network are recorded for that of the sweep only: "
            "leave out --model, or --precision int8"
        )


def write_proven(
    folder: Path, write: Callable[[Path], None], prove: Callable[[Path], list[str]]
) -> None:
    """Write a bundle that proves its golden images; DataError, without a change, where not."""
    # Elsewhere first: an earlier bundle must not be replaced by a wrong one.
    with TemporaryDirectory() as trial:
        write(Path(trial))
        problems = prove(Path(trial))
    if problems:
        raise DataError("; ".join(problems))
    write(folder)
