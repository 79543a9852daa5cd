"""A small sweep within a budget of time, from the images to the report and the answer."""

import os
import shlex
import sys
import webbrowser
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from resomap.config.schema import Config
from resomap.plan.measure import plan_sweep
from resomap.report.text.answer import INDENT, answer_lines
from resomap.report.text.page.remedy import describe_remedy
from resomap.suggest.settings import UserSettings
from resomap.suggest.written import (
    is_written_by,
    read_given_up,
    result_lines,
    run_command,
    write_sweep,
)
from resomap.suggest.yaml_file import refuse_overwriting
from resomap.system.snakemake_call import call_snakemake
from resomap.text import format_duration
from resomap.workflow.lifecycle import REPORT, read_run_config

Show = Callable[[Iterable[str]], None]


@dataclass(frozen=True)
class Attempt:
    """The settings of the user, the file of the sweep, and the command that was called."""

    settings: UserSettings
    output: Path
    command: str
    force: bool


def run_attempt(attempt: Attempt, show: Show, *, open_report: bool) -> int:
    """Write the sweep or continue it, run it, and show the answer; return the exit code."""
    began = monotonic()
    prepare(attempt, show)
    prepared = monotonic()
    code = call_snakemake(["--cores", "all", "--configfile", str(attempt.output)])
    if code:
        show([f"The sweep did not finish. The same command continues it: {attempt.command}"])
        return code
    show(outcome_lines(attempt, prepared - began, monotonic() - prepared))
    if open_report and can_show_browser():
        webbrowser.open(REPORT.resolve().as_uri())
    return 0


def prepare(attempt: Attempt, show: Show) -> None:
    """Write the file of the sweep and its plan, unless this command has written it before."""
    if is_written_by(attempt.output, attempt.command) and not attempt.force:
        show([f"Continues the sweep of {attempt.output}"])
        return
    refuse_overwriting(attempt.output, force=attempt.force)

    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    written = write_sweep(attempt.settings, attempt.output, attempt.command, log)
    # The sweep reads the plan: its start and its progress name the time that is left.
    plan_sweep(written.suggestion.config, None, None, None, log)
    show(result_lines(written, attempt.output))


def outcome_lines(attempt: Attempt, prepared: float, swept: float) -> Iterator[str]:
    """Yield the answer, what the time was too short for, the next command and the real time."""
    config = read_run_config(Path())
    record, progress = decide(config)
    yield f"{'Report':<{INDENT}}{REPORT.resolve()}"
    yield from answer_lines(record, progress)
    yield from _undecided(attempt, record)
    budget = f"{attempt.settings.minutes:g} min"
    yield (
        f"{'Time':<{INDENT}}{format_duration(prepared + swept)} of {budget}: "
        f"{format_duration(prepared)} to look and measure, {format_duration(swept)} to train, "
        "explain and report"
    )


def decide(config: Config) -> tuple[dict[str, Any], Any]:
    """Return the choice from the results in this directory, and the progress of the sweep."""
    from resomap.analysis.decision.choice import choose
    from resomap.analysis.decision.inputs import read_inputs

    sweep = read_inputs(Path("results"), config, config.report, None)
    record = choose(
        sweep.candidates,
        config.report,
        sweep.classes,
        sweep.accuracies,
        exports=sweep.exports,
        looks=sweep.looks,
    )
    return record, sweep.progress


def _undecided(attempt: Attempt, record: dict[str, Any]) -> Iterator[str]:
    """Yield what the sweep left out or left open, and the command that goes on from there."""
    reasons = read_given_up(attempt.output)
    needed = record.get("needed")
    if needed:
        reasons.append(f"{describe_remedy(needed)}.")
    for number, reason in enumerate(reasons):
        yield f"{'' if number else 'Undecided':<{INDENT}}{reason}"
    if reasons:
        yield f"{'Next':<{INDENT}}{next_command(attempt, needed)}"


def next_command(attempt: Attempt, needed: dict[str, Any] | None) -> str:
    """Return the commands that write and run the sweep without this limit of time."""
    replaced = {"--minutes"}
    seeds = list[str]()
    if needed and needed.get("more_seeds"):
        replaced.add("--seeds")
        seeds = ["--seeds", str(needed["n_seeds"] + needed["more_seeds"])]
    words = _without_options(shlex.split(attempt.command)[2:], replaced)
    init = shlex.join(["resomap", "init", *words, *seeds, "--force"])
    return f"{init} && {run_command(attempt.output)}"


def _without_options(words: Sequence[str], options: Collection[str]) -> Iterator[str]:
    """Yield the words of a command without these options and their values."""
    position = 0
    while position < len(words):
        if words[position] in options:
            position += 2
        else:
            yield words[position]
            position += 1


def can_show_browser() -> bool:
    """Return whether a person sits at a terminal of a machine with a screen."""
    has_screen = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return has_screen and sys.stdout.isatty()
