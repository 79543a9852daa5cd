"""The command `resomap compare`: what differs between two sweeps."""

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="Directory of a sweep.")],
    second: Annotated[
        Path, typer.Argument(metavar="SECOND", help="Directory of the other sweep.")
    ],
    confidence: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Confidence level. Default: that of the first sweep."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two sweeps of the same test images, cell by cell.

    It states what differs between them, and by how much.

    Example: resomap compare ~/sweeps/first ~/sweeps/second
    """
    from resomap.analysis.sweep_comparison import compare_sweeps, read_runs
    from resomap.config.flags import apply_flags
    from resomap.report.text.comparison import comparison_lines
    from resomap.workflow.lifecycle import read_run_config

    config, other = read_run_config(first), read_run_config(second)
    rules = apply_flags(config.report, {"confidence": confidence})
    sweeps = read_runs(first, config), read_runs(second, other)
    record = compare_sweeps(*sweeps, rules.confidence)
    typer.echo(json.dumps(record, indent=1) if as_json else "\n".join(comparison_lines(record)))
