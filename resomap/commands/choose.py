"""The command `resomap choose`: the choice from the results of a sweep, for a device and budgets."""

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resomap.config.flags import apply_flags, parse_budget, parse_names, parse_recalls
from resomap.errors import ConfigError, suggest
from resomap.text import wrap_lines

if TYPE_CHECKING:
    from resomap.analysis.decision.inputs import DeviceCosts
    from resomap.config.schema import Config

Directory = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="Directory in which the sweep ran; it holds results/."),
]
BUDGETS, CANDIDATES, DECISION = "Budgets", "What may be chosen", "How it is decided"


def _budget(limit: str) -> Any:
    """Return the option of a budget; `limit` describes it."""
    return typer.Option(
        help=limit, parser=parse_budget, metavar="NUMBER", rich_help_panel=BUDGETS
    )


# Exit codes, for scripts: nothing is certified, and nothing can be chosen.
UNDECIDED, NO_CHOICE = 3, 4
MAX_COLUMNS = 100  # longer lines are hard to read


def choose(
    directory: Directory = Path(),
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=CANDIDATES,
            help="Device of system.deploy.measurements whose cost decides: pi5.",
        ),
    ] = None,
    configfile: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="YAML file of the sweep, if it changed since. Repeatable."
        ),
    ] = None,
    max_latency_ms: Annotated[
        float | None, _budget("Largest p90 latency of one image, in ms.")
    ] = None,
    max_peak_memory_mib: Annotated[
        float | None, _budget("Largest peak memory for one image, in MiB.")
    ] = None,
    max_model_size_mib: Annotated[
        float | None, _budget("Largest size of the weights, in MiB.")
    ] = None,
    max_energy_j_per_image: Annotated[
        float | None, _budget("Most energy for an image, in joules.")
    ] = None,
    max_macs: Annotated[
        float | None, _budget("Most multiply-accumulates for an image.")
    ] = None,
    min_accuracy: Annotated[float | None, _budget("Lowest validation accuracy: 0.9.")] = None,
    min_balanced_accuracy: Annotated[
        float | None, _budget("Lowest balanced accuracy: 0.9.")
    ] = None,
    min_localisation: Annotated[
        float | None, _budget("Lowest share of the evidence on the object: 0.5.")
    ] = None,
    min_recall: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=RECALL",
            rich_help_panel=BUDGETS,
            help="Lowest recall of a class: eel=0.9. Repeatable.",
        ),
    ] = None,
    alarms: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            rich_help_panel=BUDGETS,
            help="allowed or forbidden: an alarm about the evidence.",
        ),
    ] = None,
    max_failed_seeds: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER", rich_help_panel=BUDGETS, help="Most seeds without a result."
        ),
    ] = None,
    accept_confounds: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=DECISION,
            help="Difference between runs that may stand: device. Repeatable.",
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            rich_help_panel=CANDIDATES,
            help="Model that may be chosen, all by default. Repeatable.",
        ),
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=CANDIDATES,
            help="Way of running it: main, compiled, onnxruntime. Repeatable.",
        ),
    ] = None,
    modes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODE",
            rich_help_panel=CANDIDATES,
            help="raw, bn, finetune or int8. Repeatable.",
        ),
    ] = None,
    attitude: Annotated[
        str | None,
        typer.Option(metavar="WORD", rich_help_panel=DECISION, help="certified or frugal."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            rich_help_panel=DECISION,
            help="Accuracy that may be lost: 0.02.",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(metavar="SHARE", rich_help_panel=DECISION, help="Confidence level: 0.95."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print choice.json.")] = False,
) -> None:
    """Choose a model and a resolution from the results of a sweep.

    The sweep may be unfinished. Flags replace the keys of the same name in the
    section `report` of its configuration; `none` takes a budget away. Models,
    variants and modes narrow what may be chosen; the bounds of budgets stay those
    of the whole sweep. The exit code is 0 where a candidate is chosen, 3 where it
    is undecided, 4 where there is none.

    Example: resomap choose --max-latency-ms 2 --min-accuracy 0.9
    """
    flags = dict(locals())
    from resomap.analysis.decision.choice import choose as choose_candidate
    from resomap.analysis.decision.inputs import read_inputs
    from resomap.analysis.decision.selection import select
    from resomap.config.load import load_user_config
    from resomap.report.text.answer import INDENT, answer_lines
    from resomap.report.text.choice import describe_choice
    from resomap.workflow.lifecycle import read_run_config

    for name in ("directory", "device", "configfile", "models", "variants", "modes", "as_json"):
        del flags[name]
    flags["min_recall"] = parse_recalls(min_recall or ())
    flags["accept_confounds"] = parse_names(accept_confounds or ())
    config = load_user_config(configfile) if configfile else read_run_config(directory)
    rules = apply_flags(config.report, flags)
    results = directory / "results"
    costs = None if device is None else read_device(device, config, results)
    sweep = read_inputs(results, config, rules, costs)
    record = choose_candidate(
        sweep.candidates,
        rules,
        sweep.classes,
        sweep.accuracies,
        device=device,
        exports=sweep.exports,
        selection=select(sweep.candidates, models or (), variants or (), modes or ()),
        looks=sweep.looks,
    )
    if as_json:
        typer.echo(json.dumps(describe_choice(record), indent=1))
    else:
        print_wrapped(answer_lines(record, sweep.progress), INDENT)
    codes = {"undecided": UNDECIDED, "none": NO_CHOICE, "nothing learned": NO_CHOICE}
    raise typer.Exit(codes.get(record["status"], 0))


def read_device(name: str, config: "Config", results: Path) -> "DeviceCosts":
    """Return the measurements of a device; ConfigError lists those of the configuration.

    Files of other devices are not read, so that a damaged one of them does not matter here.
    """
    from resomap.analysis.decision.inputs import DeviceCosts
    from resomap.config.deploy import DEPLOY_KEY, device_name
    from resomap.deploy.measurements import read_measurements
    from resomap.workflow.lifecycle import RUN_CONFIG

    deploy = config.system.deploy
    files = deploy.measurements if deploy else ()
    by_name = {device_name(path): path for path in files}
    if name not in by_name:
        known = f"known are {', '.join(by_name)}" if by_name else "it lists no file"
        close = suggest(name, by_name, ()) if by_name else ""
        hint = f"; {close}" if close.startswith("did you") else ""
        raise ConfigError(
            f"--device {name!r} is no device of {DEPLOY_KEY}.measurements: {known}{hint}\n"
            f"{RUN_CONFIG} has the list of the last sweep; one that changed since is read with "
            "--configfile mine.yaml"
        )
    # A relative path is one from where the sweep ran.
    path = results.parent / by_name[name]
    return DeviceCosts(name, read_measurements([path], results)[name])


def print_wrapped(lines: Iterable[str], indent: int) -> None:
    """Print lines, wrapped where a person reads them; programs get one line a statement."""
    if sys.stdout.isatty():
        width = min(shutil.get_terminal_size().columns, MAX_COLUMNS)
        lines = wrap_lines(lines, width, indent)
    typer.echo("\n".join(lines))
