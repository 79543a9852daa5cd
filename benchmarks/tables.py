"""Medians with their spread, and tables in one Markdown page: a part that is run again replaces its own section and no other."""

import os
import platform
import re
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

from resomap.system.files import write_text

TITLE = "# Training: ResoMap against how people train\n"


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median (lowest-highest)."""
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, so that what slows a whole round cancels."""
    return [mine / other for mine, other in zip(ours, theirs, strict=True)]


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def put_section(path: Path, title: str, text: str) -> None:
    """Write `text` under `## title` of the page at `path`, in place of what stood there."""
    page = path.read_text(encoding="utf-8") if path.exists() else TITLE
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    new = f"## {title}\n\n{text.strip()}\n"
    mine = [section.startswith(f"## {title}\n") for section in sections]
    kept = [
        new if own else f"{section.strip()}\n"
        for section, own in zip(sections, mine, strict=True)
    ]
    write_text(path, "\n".join([f"{head.strip()}\n", *kept, *([] if any(mine) else [new])]))


def write_parts(
    options: Namespace,
    title: str,
    parts: Mapping[str, tuple[str, Callable[[Namespace, Path], str]]],
    once: str,
    libraries: str,
) -> None:
    """Run `options.part` of `parts` (or all) in `options.work`, or a folder that goes again, and put each into the page `options.out`.

    `once` is the part that is not repeated `options.rounds` times; `libraries` are told beside the protocol's own.
    """
    if not options.out.exists():
        write_text(options.out, title)
    for name in parts if options.part == "all" else [options.part]:
        heading, run = parts[name]
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            text = run(options, options.work or Path(folder))
        where = protocol("cpu", 1 if name == once else options.rounds, load).strip()
        put_section(options.out, heading, f"{where} {libraries}\n\n{text}")
    print(options.out.read_text(encoding="utf-8"))


def protocol(device: str, rounds: int, load: float) -> str:
    """One sentence on where, when and how often something was measured; `load` is the machine's before it began."""
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "torchvision", "pillow", "numpy")
    )
    machine = f"{_processor()}, {len(os.sched_getaffinity(0))} cores" + (
        f", {_card()}" if device == "cuda" else ""
    )
    return (
        f"{date.today()}, commit {_commit()}, {machine}, Python {platform.python_version()}, {libraries}. "
        f"{rounds} round{'s' * (rounds != 1)}, interleaved; median (lowest-highest). Load average before it began {load:.2f}.\n"
    )


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def _card() -> str:
    import torch

    return torch.cuda.get_device_name()


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
            check=True,
        ).stdout.strip()

    try:
        changed = git(
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            "../resomap",
            "../rules",
            "../config",
        )
        return git("rev-parse", "--short", "HEAD") + (" and changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
