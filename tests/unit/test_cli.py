"""The command line as a whole: its help, wrong usage, exit codes and completion."""

import inspect
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from resomap.cli import COMMANDS, app, resomap

FUNCTIONS = {name: function for group in COMMANDS.values() for name, function in group.items()}
LONGEST_LINE = 78
"""Of a docstring: longer ones are broken on a terminal of 80 columns."""


def run(*arguments: str, **environment: str):
    settings = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", **environment}
    return CliRunner().invoke(app, list(arguments), prog_name="resomap", env=settings)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_of_command_ends_with_an_example_that_is_valid(name):
    example = inspect.getdoc(FUNCTIONS[name]).splitlines()[-1]
    assert example.startswith(f"Example: resomap {name}")
    _, _, *arguments = shlex.split(example.removeprefix("Example: "))
    get_command(app).commands[name].make_context(name, arguments)
    shown = run(name, "--help")
    assert shown.exit_code == 0
    assert example in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80


@pytest.mark.parametrize(
    "function", [resomap, *FUNCTIONS.values()], ids=lambda each: each.__name__
)
def test_help_fits_a_terminal_and_its_first_line_is_a_sentence(function):
    first, *others = inspect.getdoc(function).splitlines()
    assert first.endswith(".")
    assert max(map(len, [first, *others])) <= LONGEST_LINE


def test_help_names_every_command_and_the_exit_codes():
    shown = run("--help").output
    assert "Exit codes: 0 done, 1 a mistake or a failed check, 2 wrong usage." in shown
    for panel, functions in COMMANDS.items():
        assert f" {panel} " in shown
        assert all(f" {name} " in shown for name in functions)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["statu"], "status"),
        (["check", "--configfil", "mine.yaml"], "--configfile"),
        (["show"], "RUN"),
        (["plan", "--gpus", "many"], "--gpus"),
        (["status", "--watch", "0"], "SECONDS"),
    ],
)
def test_wrong_usage_is_two_plain_lines(arguments, words):
    shown = run(*arguments)
    first, second = shown.stderr.splitlines()
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert first.startswith("error: ")
    assert words in first
    assert second.endswith("--help` shows how it is used")


def test_command_line_without_a_command_prints_its_help():
    shown = run()
    assert shown.exit_code == 2
    assert "Usage: resomap" in shown.output
    assert "error:" not in shown.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "expected", "other"),
    [
        ("show custom/tiny", "custom/tiny_cnn/r48/seed0", "simple_cnn"),
        ("show results/runs/custom/s", "results/runs/custom/simple_cnn/r24/seed1", "tiny"),
        ("parity simple", "simple_cnn@24", "tiny_cnn"),
        ("models resnet1", "resnet18", "resnet50"),
        ("mod", "models", "ship"),
    ],
)
def test_shell_completes_commands_runs_cells_and_models(
    shell, line, expected, other, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for run_name in ("tiny_cnn/r48/seed0", "simple_cnn/r24/seed1"):
        Path("results/runs/custom", run_name).mkdir(parents=True)
    words = f"resomap {line}"
    answer = run(
        _RESOMAP_COMPLETE=f"complete_{shell}",
        COMP_WORDS=words,
        COMP_CWORD=str(words.count(" ")),
        _TYPER_COMPLETE_ARGS=words,
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    assert expected in answer.output
    assert other not in answer.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_calls_the_command(shell):
    script = run(_RESOMAP_COMPLETE=f"source_{shell}")
    assert "_RESOMAP_COMPLETE=complete_" in script.output
