"""Generated configurations: Snakemake and `resomap check` agree on each, and none crashes either.

Each file goes through Snakemake's own command line, as a dry run, and through `resomap check`,
both in forks of this process.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import yaml
from snakemake.cli import main as snakemake_main

from resomap.cli import app
from resomap.config.load import load_config, shipped_values
from resomap.errors import ConfigError
from resomap.workflow.checks.network_check import check_networks
from tests.faults.forked_jobs import preload, run_forked
from tests.faults.sweep import Ended, Sweep, new_sweep
from tests.faults.trials import TRACEBACK, Trial, Verdict, first_message, trial_rng
from tests.workflow.conftest import SMOKE

MINE = "mine.yaml"
DRY_RUN = ("snakemake", "-n", "--quiet", "all", "--configfile", SMOKE, MINE)
PLAIN = "training: {epochs: 3}\nsweep: {seeds: [0, 1]}\n"
NOT_ENOUGH_SPACE = "of disk space are free"
MAX_LINES = 12
NAMED_FILE = re.compile(r"config/\w+\.yaml|mine\.yaml")

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3.5, 10**30, -(10**30), float("inf"), float("nan")),
    *(
        "",
        " ",
        "1e-1",
        "none",
        "null",
        "auto",
        "cpu",
        "tiny_cnn",
        "no_such",
        "a" * 300,
        "\u00e9\u4e2d",
        "../x",
    ),
    *(
        [],
        [[]],
        [None],
        [0],
        [24],
        [1, 1],
        ["tiny_cnn"],
        {},
        {"a": 1},
        {"type": "step"},
        [{"a": []}],
    ),
)
ODD_TEXTS: tuple[bytes, ...] = (
    *(
        b"",
        b"\n",
        b"# only a comment\n",
        b"[]\n",
        b"5\n",
        b"text\n",
        b"---\n---\na: 1\n",
        b"\0",
        b"a: \0\n",
    ),
    *(b"training: {epochs: 3}\ntraining: {epochs: 4}\n", b"training: {epochs: 3, epochs: 4}\n"),
    *(
        b"\xef\xbb\xbftraining: {epochs: 3}\n",
        b"experiment: {name: caf\xe9}\n",
        b"\xff\xfea\x00:\x00",
    ),
    *(
        b"training:\n\tepochs: 3\n",
        b"training: {epochs: 3\n",
        b"training: [1\n",
        b"a: 'b\n",
        b"training\n",
    ),
    *(
        b"__use_yte__: true\n?if True:\n  a: 1\n",
        b"a: !!python/object/apply:os.getcwd []\n",
        b"a: !x 1\n",
    ),
    *(
        b"a: &a [*a]\n",
        b"x: &x [1, 2]\nsweep: {seeds: *x}\n",
        b"a: *missing\n",
        b"<<: {training: {epochs: 3}}\n",
    ),
    *(
        b"training: {<<: {epochs: 3}}\n",
        b"? [1, 2]\n: 3\n",
        b"1: 2\n",
        b"true: 1\n",
        b"null: 1\n",
        b"2024-01-31: 1\n",
    ),
    *(
        b"training: {epochs: 0x10}\n",
        b"training: {epochs: 1_0}\n",
        b"training: {epochs: 1:30}\n",
        b"training: {epochs: 010}\n",
    ),
    *(
        b'{"training": {"epochs": 3}}',
        b'{\n\t"training": {"epochs": 3}\n}\n',
        b'{"training": {"epochs": 3},}',
        b"{}",
    ),
    *(
        b"training: {epochs: 3}\r\n",
        b"training: {epochs: 3}\rsweep: {seeds: [0]}\r",
        b"%YAML 1.2\n---\ntraining: {epochs: 3}\n",
    ),
    *(
        b"training: {epochs: !!str 3}\n",
        b"training: {epochs: !!float 3}\n",
        b"training: !!omap [epochs: 3]\n",
        b"training: !!set {epochs}\n",
    ),
    *(
        b"training: {epochs: 2024-01-31}\n",
        b"training: {epochs: yes}\n",
        b"a: !!binary aGk=\n",
        b"a: |\n  b\n",
        b"- a\n- b\n",
    ),
    b"a: " + b"[" * 500 + b"]" * 500 + b"\n",
    b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (key, key, b", ".join([b"*%c" % (key - 1)] * 9))
        for key in range(98, 108)
    ),
)


def run_configs(seed: int, numbers: list[int], folder: Path) -> Iterator[Trial]:
    """Try generated configurations in a copy of the repository below `folder`."""
    sweep = new_sweep(folder / "configs")
    preload(sweep)
    for number in numbers:
        rng = trial_rng("configs", seed, number)
        kind = rng.choice(list(KINDS))
        content = KINDS[kind](rng)
        (sweep.path / MINE).write_bytes(content)
        dry, checked = _dry_run(sweep), run_check(sweep)
        verdict, seen = judge(sweep, dry, checked)
        detail = "" if verdict == "survived" else repr(content)[:2000]
        yield Trial("configs", kind, number, seed, verdict, seen, detail)


def _dry_run(sweep: Sweep) -> Ended:
    def call() -> None:
        sys.argv = list(DRY_RUN)
        snakemake_main(list(DRY_RUN[1:]))

    return run_forked(sweep.path, call, "dry_run.log")


def run_check(sweep: Sweep) -> Ended:
    """Run `resomap check` on the configuration."""
    return run_forked(
        sweep.path,
        lambda: app(["check", "--configfile", SMOKE, "--configfile", MINE]),
        "check.log",
    )


def judge(sweep: Sweep, dry: Ended, checked: Ended) -> tuple[Verdict, str]:
    """Return what a dry run and `resomap check` of one configuration say about it."""
    for name, ended in (("snakemake -n", dry), ("resomap check", checked)):
        if TRACEBACK in ended.text:
            return "traceback", f"{name}: {ended.text.strip().splitlines()[-1]}"
        if ended.code < 0:
            return "lost", f"{name} did not end"
    errors = [line for line in checked.text.splitlines() if line.startswith("error: ")]
    is_checked = checked.code == 0 or all(NOT_ENOUGH_SPACE in line for line in errors)
    if is_checked and dry.code == 0:
        return "survived", "accepted by both"
    if not is_checked and dry.code == 0:
        # Snakemake builds the networks when it starts, not in a dry run.
        ended = run_forked(sweep.path, _check_networks, "networks.log")
        return (
            ("survived", "its networks are refused by both")
            if ended.code
            else ("silent", f"only `resomap check` refuses: {first_message(checked.text)}")
        )
    if is_checked:
        return "lost", f"only Snakemake refuses: {first_message(dry.text)}"
    if checked.text.count("\n") > MAX_LINES:
        return "lost", f"a message of {checked.text.count(chr(10))} lines"
    if not NAMED_FILE.search(checked.text):
        return "lost", f"no file is named: {first_message(checked.text)}"
    return "survived", "refused by both"


def _check_networks() -> None:
    try:
        check_networks(
            load_config(Path("config"), [Path(SMOKE), Path(MINE)]), Path("networks.json")
        )
    except ConfigError as error:
        sys.exit(f"error: {error}")


def _key_paths(
    values: Mapping[str, Any], at: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*at, key)
        if isinstance(value, Mapping):
            yield from _key_paths(value, (*at, key))


def _nested(path: tuple[str, ...], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _dump(value: Any) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True).encode()


def _odd_value(rng: Random) -> bytes:
    path = rng.choice(list(_key_paths(shipped_values())))
    return _dump(_nested(path, rng.choice(ODD_VALUES)))


def _near_value(rng: Random) -> bytes:
    """Return a number or text of the shipped files, changed a little."""
    values = shipped_values()
    path = rng.choice(list(_key_paths(values)))
    value: Any = values
    for key in path:
        value = value[key]
    if isinstance(value, bool):
        changed: Any = not value
    elif isinstance(value, int | float):
        changed = rng.choice(
            [value + 1, value - 1, -value, value * 2, value / 3, value * 1e6, str(value)]
        )
    elif isinstance(value, list):
        changed = rng.choice(
            [value[:1], value + value[:1], value[::-1], [str(each) for each in value]]
        )
    else:
        changed = value
    return _dump(_nested(path, changed))


def _misspelt_key(rng: Random) -> bytes:
    *at, key = rng.choice(list(_key_paths(shipped_values())))
    place = rng.randrange(len(key))
    changed = rng.choice(
        [key[:place] + key[place + 1 :], key.upper(), key + "s", f"{key} ", f"{key}.x"]
    )
    return _dump(_nested((*at, changed), rng.choice(ODD_VALUES)))


def _odd_text(rng: Random) -> bytes:
    return rng.choice(ODD_TEXTS)


def _changed_bytes(rng: Random) -> bytes:
    """Return a shipped file or a plain one with a few bytes changed, lost or doubled."""
    files = sorted((Path(__file__).parents[2] / "config").rglob("*.yaml"))
    content = bytearray(rng.choice([PLAIN.encode(), *(path.read_bytes() for path in files)]))
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(content) + 1)
        size = rng.choice([1, 1, 1, 8, 64])
        some = bytes(
            rng.choice([rng.randrange(256), 0x20, 0x0A, 0x3A, 0x7B]) for _ in range(size)
        )
        content[place : place + rng.choice([0, size])] = rng.choice([some, b""])
    return bytes(content)


KINDS: dict[str, Callable[[Random], bytes]] = {
    "an odd value": _odd_value,
    "a value changed a little": _near_value,
    "a misspelt key": _misspelt_key,
    "an odd YAML text": _odd_text,
    "bytes changed": _changed_bytes,
}
