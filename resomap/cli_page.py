"""docs/commands.md, made from the command line: `python -m resomap.cli_page docs/commands.md`."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from resomap.cli import COMMANDS, app
from resomap.system.files import write_text

EXAMPLE = "Example: "
HEAD = """# Commands

```bash
resomap --help
resomap check --help
```

Snakemake runs a sweep; these commands prepare it, watch it and use its results. They work in the current
directory, which holds `results/`. `--help` of a command shows an example and its options.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a mistake in the configuration, the images or a name, or a check that failed; a line names it |
| 2 | wrong usage: an unknown command or option, or a value of the wrong kind |
| 3 | `choose`: undecided. `parity`: more answers change than `--max-flips` allows |
| 4 | `choose`: no candidate can be chosen |

`resomap --install-completion` adds completion to bash, zsh or fish; `resomap --show-completion` prints what it
would add. It completes commands, options, runs, cells and models.

This page is generated from the commands (`python -m resomap.cli_page docs/commands.md`), and a test
keeps it up to date.
"""


def commands_page() -> str:
    """Return the page: the commands in the groups and the order of `resomap --help`."""
    by_name = getattr(get_command(app), "commands")  # noqa: B009
    parts = [HEAD]
    for panel, functions in COMMANDS.items():
        parts.append(f"\n## {panel}\n")
        for name, function in functions.items():
            parts += _section(name, function, by_name[name].params)
    return "".join(parts)


def _section(name: str, function: Any, parameters: list[Any]) -> Iterator[str]:
    text, _, example = str(inspect.getdoc(function)).partition(EXAMPLE)
    yield f"\n### resomap {name}\n\n```\n{example.strip()}\n```\n\n{text.strip()}\n"
    rows = [_row(each) for each in parameters if each.name != "help"]
    if rows:
        yield "\n| option | meaning |\n|---|---|\n" + "".join(rows)


def _row(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    name = parameter.opts[0] if is_option else parameter.metavar or parameter.name.upper()
    if is_option and not parameter.is_flag:
        name += f" {parameter.metavar or parameter.name.upper()}"
    return f"| `{name}` | {parameter.help} |\n"


if __name__ == "__main__":
    write_text(Path(sys.argv[1]), commands_page())
