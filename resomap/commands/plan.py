"""The command `resomap plan`: time and cost of a sweep before it starts."""

from typing import Annotated

import typer

from resomap.commands.options import OverlayFiles


def plan(
    configfile: OverlayFiles = None,
    gpus: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Number of GPUs for the sweep. Default: the GPUs of this machine.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Number of parallel jobs on a CPU. Default: the number of cores.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="PRICE", help="Price per GPU hour, or per core hour on a CPU."),
    ] = None,
) -> None:
    """Estimate time and cost of a sweep before it starts.

    The estimate is made from training steps measured on this machine. Each cell
    is measured once; later calls reuse the measurements.

    Example: resomap plan --configfile mine.yaml --gpus 2 --rate 1.5
    """
    from resomap.analysis.decision.outlook import SweepSize
    from resomap.config.load import load_user_config
    from resomap.plan.measure import plan_sweep
    from resomap.plan.table import plan_lines
    from resomap.report.text.outlook import describe_outlook

    config = load_user_config(configfile)
    # Progress goes to stderr, so that the plan can be piped.
    estimate = plan_sweep(config, gpus, jobs, rate, lambda line: typer.echo(line, err=True))
    size = SweepSize(
        cells=len(config.sweep.models) * len(config.sweep.resolutions),
        seeds=len(config.sweep.seeds),
        val=estimate["images"]["val"],
        test=estimate["images"]["test"],
    )
    typer.echo("\n".join([*plan_lines(estimate), *describe_outlook(size, config.report)]))
