"""Arrays that are filled piece by piece by several processes, go on where a kill left them, and appear whole or not at all.

They grow in `.partial` beside their place. A table with a line a row says which rows are done; a line is written only after the rows
it speaks of are on the disk itself, so that not even a power cut leaves a row that is taken for done and is not.
"""

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from resomap.data.store.rowfile import RowFile
from resomap.errors import DataError
from resomap.system import files

CHUNK = 32
SYNC_SECONDS = 5.0
PER_WORKER = 1000
"""Rows below which a second process would cost more than it brings."""
FACTS = "facts"
DONE = 1
"""`done` of a line that need not be tried again."""

Task = Callable[[dict[str, RowFile], int, Sequence[Any]], np.ndarray]
"""Fills rows of the arrays, from a number on, one for each item; returns a line for each: a structured array, its `done` DONE or not."""


@dataclass(frozen=True)
class Plan:
    """What is to be filled: arrays by name (shape, dtype), by whom, what a line of the table of facts holds, and the `mark` of all that decides it."""

    mark: str
    arrays: Mapping[str, tuple[tuple[int, ...], Any]]
    facts: Any
    task: Task
    about: str


def partial(folder: Path) -> Path:
    """Where the arrays of `folder` grow."""
    return folder / ".partial"


def fill(folder: Path, plan: Plan, items: Sequence[Any], workers: int) -> np.ndarray:
    """Fill a row for every item, those that are not done yet; returns the table of facts, a line a row."""
    _begin(partial(folder), plan, len(items))
    facts = np.load(partial(folder) / f"{FACTS}.npy")
    todo = [
        start
        for start in range(0, len(items), CHUNK)
        if (facts["done"][start : start + CHUNK] != DONE).any()
    ]
    arrays = _open(partial(folder), [*plan.arrays, FACTS])
    workers = max(1, min(workers, len(todo) * CHUNK // PER_WORKER))
    unsynced: list[tuple[int, np.ndarray]] = []
    synced = time.monotonic()
    try:
        with tqdm(
            total=len(items),
            initial=len(items) - min(len(items), len(todo) * CHUNK),
            desc=plan.about,
            unit=" pictures",
        ) as bar:
            for start, lines in _work(
                partial(folder),
                plan,
                [(start, items[start : start + CHUNK]) for start in todo],
                workers,
            ):
                facts[start : start + len(lines)] = lines
                unsynced.append((start, lines))
                bar.update(len(lines))
                if time.monotonic() - synced > SYNC_SECONDS:
                    _sync(arrays, unsynced)
                    synced = time.monotonic()
    finally:
        _sync(arrays, unsynced)
        _close(arrays)
    return facts


def publish(folder: Path, names: Mapping[str, str]) -> None:
    """Move filled arrays to their place, `names[array]` in `folder`, and forget how they grew."""
    for array, name in names.items():
        os.replace(partial(folder) / f"{array}.npy", folder / name)
    shutil.rmtree(partial(folder))


def _begin(growing: Path, plan: Plan, count: int) -> None:
    """Make the arrays, unless they are there and by their mark the same."""
    mark = growing / "mark.txt"
    if mark.exists() and mark.read_text(encoding="utf-8") == plan.mark:
        return
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir(parents=True)
    for name, (shape, dtype) in {**plan.arrays, FACTS: ((count,), plan.facts)}.items():
        RowFile.create(growing / f"{name}.npy", shape, dtype)
    files.write_text(mark, plan.mark)


def _open(growing: Path, names: Sequence[str]) -> dict[str, RowFile]:
    return {name: RowFile.open(growing / f"{name}.npy", writable=True) for name in names}


def _close(arrays: dict[str, RowFile]) -> None:
    for array in arrays.values():
        array.close()


def _sync(arrays: dict[str, RowFile], unsynced: list[tuple[int, np.ndarray]]) -> None:
    """Bring the rows to the disk, then the lines that say that they are there."""
    for name, array in arrays.items():
        if name != FACTS:
            array.sync()
    for start, lines in unsynced:
        arrays[FACTS][start] = lines
    unsynced.clear()


def _work(
    growing: Path, plan: Plan, chunks: Sequence[tuple[int, Sequence[Any]]], workers: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Each chunk's start and lines, as they get done; no more than two chunks a worker are on their way."""
    if workers == 1:
        arrays = _open(growing, list(plan.arrays))
        yield from ((start, plan.task(arrays, start, items)) for start, items in chunks)
        _close(arrays)
        return
    context = multiprocessing.get_context("spawn")  # of a process that may have threads
    with ProcessPoolExecutor(
        workers, context, _begin_worker, (plan.task, growing, list(plan.arrays))
    ) as pool:
        waiting: set[Future[tuple[int, np.ndarray]]] = set()
        try:
            for chunk in chunks:
                waiting.add(pool.submit(_fill_chunk, *chunk))
                if len(waiting) >= 2 * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            for future in waiting:
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError(
                f"{plan.about}: a process that reads pictures was killed (out of memory?). What is done is kept."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_worker: dict[str, Any] = {}
"""What this process fills, and by what."""


def _begin_worker(task: Task, growing: Path, names: Sequence[str]) -> None:
    _worker.update(task=task, arrays=_open(growing, names))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the parent hears it too, and ends this process
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A pool's process does not notice that its parent was killed: it waits for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _fill_chunk(start: int, items: Sequence[Any]) -> tuple[int, np.ndarray]:
    return start, _worker["task"](_worker["arrays"], start, items)
