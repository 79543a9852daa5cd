"""Run a module as a program, and print last how much memory it, and the largest process that it started, ever held.

usage: python -m benchmarks.peak_memory MODULE [ARGUMENT ...]
"""

import json
import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

EVERY_SECONDS = 0.1


def peak_mib(pid: int | str) -> float:
    """What a process held at most since it began to run its program; ru_maxrss would count what its parent held when it forked, too."""
    told = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return int(told.get("VmHWM", "0 kB").split()[0]) / 1024


def children() -> Iterator[str]:
    """The processes that this one started."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:  # gone
            continue
        if parent == str(os.getpid()):
            yield path.name


def watch(largest: list[float], ended: Event) -> None:
    """Ask the children now and again, until this program has ended."""
    while not ended.wait(EVERY_SECONDS):
        for child in children():
            try:
                largest[0] = max(largest[0], peak_mib(child))
            except OSError:  # gone
                continue


def main() -> None:
    """Run, and tell."""
    sys.argv, largest, ended = sys.argv[1:], [0.0], Event()
    watcher = Thread(target=watch, args=(largest, ended))
    watcher.start()
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    finally:
        ended.set()
        watcher.join()
    print(f"\n{json.dumps({'own': peak_mib('self'), 'largest': largest[0]})}", flush=True)


if __name__ == "__main__":
    main()
