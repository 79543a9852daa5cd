"""The command `resomap init`: a configuration for the user's images, with reasons and cost."""

from pathlib import Path
from typing import Annotated

import typer

Images = Annotated[
    Path | None,
    typer.Argument(
        help="Folder with one folder per class, or a CSV file with the columns path and label.",
        show_default="the folder of images in this directory, else the reef",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(help="Models to compare: resnet18,tiny_cnn; `resomap models` lists them."),
]
Resolutions = Annotated[
    list[str] | None, typer.Option(help="Resolutions to compare, in pixels: 64,128.")
]
Seeds = Annotated[int | None, typer.Option(help="Number of trainings of each cell.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of a training.")]
Start = Annotated[
    str | None,
    typer.Option(help="Initial weights: random, pretrained (may be downloaded), or a file."),
]
Margin = Annotated[float | None, typer.Option(help="Accuracy that may be lost. Default: 0.02.")]
MaxLatency = Annotated[
    float | None, typer.Option(help="Latency that the choice may have, in milliseconds.")
]
OwnFiles = Annotated[
    list[Path] | None,
    typer.Option(
        help="YAML file whose keys are kept as they are. Repeat it for several files."
    ),
]
Output = Annotated[Path, typer.Option(help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]

MINUTES = 240.0


def init(
    images: Images = None,
    models: Models = None,
    resolutions: Resolutions = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    start: Start = None,
    margin: Margin = None,
    max_latency_ms: MaxLatency = None,
    minutes: Annotated[
        float, typer.Option(help="Time that the sweep may take on this machine.")
    ] = MINUTES,
    configfile: OwnFiles = None,
    output: Output = Path("resomap.yaml"),
    force: Force = False,
) -> None:
    """Look at your images and write a configuration for them.

    It prints the reasons, the cost, and the difference that the sweep can detect.
    Every image is decoded, and a training step of every cell is measured on this
    machine. What a flag or a file of --configfile gives is kept. Nothing is
    trained or downloaded, and there is no prompt.

    Example: resomap init photos --margin 0.03
    """
    flags = dict(locals())
    from resomap.commands.choose import print_wrapped
    from resomap.report.text.answer import INDENT
    from resomap.suggest.settings import read_settings, show_command
    from resomap.suggest.written import result_lines, run_command, write_sweep
    from resomap.suggest.yaml_file import refuse_overwriting

    refuse_overwriting(output, force=force)
    settings = read_settings(flags)
    command = show_command("init", flags, MINUTES)
    written = write_sweep(settings, output, command, lambda line: typer.echo(line, err=True))
    last = f"{'Next':<{INDENT}}{run_command(output)}"
    print_wrapped([*result_lines(written, output), last], INDENT)
