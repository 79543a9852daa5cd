"""Arrays filled chunk by chunk by several processes, which resume after a kill.

They grow in `.partial` beside their destination and are published whole or not at all. A table
of records, one per row, marks which rows are done. A record is written only after its row is on
the disk itself, so that not even a power cut leaves a row marked as done that is not there.
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

from resomap.data.store.npy_file import NpyFile
from resomap.errors import DataError
from resomap.system import files

CHUNK_ROWS = 32
SYNC_SECONDS = 5.0
ROWS_PER_WORKER = 1000
"""Below this a second process costs more than it saves."""
RECORDS = "records"
DONE = 1
"""`done` in the record of a row that is not filled again."""

FillTask = Callable[[dict[str, NpyFile], int, Sequence[Any]], np.ndarray]
"""Fills one row per item, from a start row on; returns their records, a structured array."""
Chunk = tuple[int, Sequence[Any]]
FilledChunk = tuple[int, np.ndarray]


@dataclass(frozen=True)
class FillPlan:
    """What to fill: arrays by name (shape, dtype), the task, and the dtype of its records.

    Rows of an earlier, interrupted fill are kept where its `fingerprint` was the same.
    """

    fingerprint: str
    arrays: Mapping[str, tuple[tuple[int, ...], Any]]
    record_dtype: Any
    task: FillTask
    description: str


def partial_folder(folder: Path) -> Path:
    """Return where the arrays of `folder` grow."""
    return folder / ".partial"


def fill_arrays(folder: Path, plan: FillPlan, items: Sequence[Any], workers: int) -> np.ndarray:
    """Fill the rows that are not done, one per item; return the records of all rows."""
    growing = partial_folder(folder)
    _create_arrays(growing, plan, len(items))
    records = np.load(growing / f"{RECORDS}.npy")
    starts = range(0, len(items), CHUNK_ROWS)
    todo = [
        start for start in starts if (records["done"][start : start + CHUNK_ROWS] != DONE).any()
    ]
    workers = max(1, min(workers, len(todo) * CHUNK_ROWS // ROWS_PER_WORKER))
    chunks = [(start, items[start : start + CHUNK_ROWS]) for start in todo]
    bar = tqdm(
        total=len(items),
        initial=len(items) - min(len(items), len(todo) * CHUNK_ROWS),
        desc=plan.description,
        unit=" images",
    )
    journal = _Journal(_open_arrays(growing, [*plan.arrays, RECORDS]))
    try:
        with bar:
            for start, filled in _fill_chunks(growing, plan, chunks, workers):
                records[start : start + len(filled)] = filled
                bar.update(len(filled))
                journal.add(start, filled)
    finally:
        journal.close()
    return records


def publish_arrays(folder: Path, names: Mapping[str, str]) -> None:
    """Move each filled array to `folder / names[array]`, and delete what else grew with it."""
    for array, name in names.items():
        os.replace(partial_folder(folder) / f"{array}.npy", folder / name)
    shutil.rmtree(partial_folder(folder))


class _Journal:
    """Records of filled rows, written to disk every few seconds after the rows themselves."""

    def __init__(self, arrays: dict[str, NpyFile]) -> None:
        self._arrays = arrays
        self._unsynced: list[FilledChunk] = []
        self._last_sync = time.monotonic()

    def add(self, start: int, records: np.ndarray) -> None:
        self._unsynced.append((start, records))
        if time.monotonic() - self._last_sync > SYNC_SECONDS:
            self._sync()
            self._last_sync = time.monotonic()

    def _sync(self) -> None:
        # The order matters: a record must never reach the disk before its row.
        for name, array in self._arrays.items():
            if name != RECORDS:
                array.sync()
        for start, records in self._unsynced:
            self._arrays[RECORDS][start] = records
        self._unsynced.clear()

    def close(self) -> None:
        self._sync()
        _close_arrays(self._arrays)


def _create_arrays(growing: Path, plan: FillPlan, count: int) -> None:
    """Create the arrays, unless they exist with the same fingerprint."""
    fingerprint = growing / "fingerprint.txt"
    if fingerprint.exists() and fingerprint.read_text(encoding="utf-8") == plan.fingerprint:
        return
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir(parents=True)
    for name, (shape, dtype) in plan.arrays.items():
        NpyFile.create(growing / f"{name}.npy", shape, dtype)
    NpyFile.create(growing / f"{RECORDS}.npy", (count,), plan.record_dtype)
    # Written last: without it, a kill during the creation leaves nothing that would be resumed.
    files.write_text(fingerprint, plan.fingerprint)


def _open_arrays(growing: Path, names: Sequence[str]) -> dict[str, NpyFile]:
    return {name: NpyFile.open(growing / f"{name}.npy", writable=True) for name in names}


def _close_arrays(arrays: dict[str, NpyFile]) -> None:
    for array in arrays.values():
        array.close()


def _fill_chunks(
    growing: Path, plan: FillPlan, chunks: Sequence[Chunk], workers: int
) -> Iterator[FilledChunk]:
    """Yield start and records of each chunk as it is filled, in this process or in workers."""
    if workers > 1:
        yield from _fill_in_workers(growing, plan, chunks, workers)
        return
    arrays = _open_arrays(growing, list(plan.arrays))
    for start, items in chunks:
        yield start, plan.task(arrays, start, items)
    _close_arrays(arrays)


def _fill_in_workers(
    growing: Path, plan: FillPlan, chunks: Sequence[Chunk], workers: int
) -> Iterator[FilledChunk]:
    # A fork of a process with threads can deadlock; spawned workers start clean.
    context = multiprocessing.get_context("spawn")
    arguments = (plan.task, growing, list(plan.arrays))
    with ProcessPoolExecutor(workers, context, _start_worker, arguments) as pool:
        pending: set[Future[FilledChunk]] = set()
        try:
            for chunk in chunks:
                pending.add(pool.submit(_fill_chunk, *chunk))
                # Two chunks per worker keep all busy; a million submitted at once fill memory.
                if len(pending) >= 2 * workers:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            for future in pending:
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError(
                f"{plan.description}: a worker process was killed (out of memory?). "
                "Finished rows are kept: run again."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


_worker: dict[str, Any] = {}
"""The task and the open arrays of this worker process."""


def _start_worker(task: FillTask, growing: Path, names: Sequence[str]) -> None:
    _worker.update(task=task, arrays=_open_arrays(growing, names))
    # Ctrl-C reaches the whole process group; the parent ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    # A worker of a killed parent would wait for work forever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _fill_chunk(start: int, items: Sequence[Any]) -> FilledChunk:
    return start, _worker["task"](_worker["arrays"], start, items)
