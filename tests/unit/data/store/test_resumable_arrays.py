import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from resomap.data.store import resumable_arrays
from resomap.data.store.resumable_arrays import (
    DONE,
    FillPlan,
    fill_arrays,
    partial_folder,
    publish_arrays,
)
from resomap.errors import DataError

ROOT = Path(__file__).parents[4]
RECORD = np.dtype([("done", "u1"), ("item", "i8")])


@dataclass(frozen=True)
class Square:
    """A task that writes n * n for item n, and the start of each chunk into `log`.

    The process is killed at item `fatal`.
    """

    log: Path
    seconds: float = 0.0
    fatal: int = -1

    def __call__(self, arrays, start, items):
        if self.fatal in items:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        for row, item in enumerate(items, start):
            arrays["squares"][row] = np.full(4, item**2)
        with self.log.open("a") as stream:
            stream.write(f"{start}\n")
        records = np.zeros(len(items), RECORD)
        records["done"], records["item"] = DONE, items
        return records


def fill(folder, items, task=None, fingerprint="one", workers=1):
    task = task or Square(folder / "log")
    arrays = {"squares": ((len(items), 4), np.int64)}
    plan = FillPlan(fingerprint, arrays, RECORD, task, "numbers")
    return fill_arrays(folder, plan, items, workers)


def assert_squares(folder, items):
    publish_arrays(folder, {"squares": "squares.npy"})
    assert not partial_folder(folder).exists()
    assert (np.load(folder / "squares.npy") == np.array(items)[:, None] ** 2).all()


def logged_chunks(folder):
    return (folder / "log").read_text().split()


@pytest.mark.parametrize("workers", [1, 2])
def test_one_or_two_workers_fill_every_row(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(resumable_arrays, "ROWS_PER_WORKER", 64)
    records = fill(tmp_path, range(300), workers=workers)
    assert (records["item"] == np.arange(300)).all()
    assert_squares(tmp_path, range(300))


SLOW_FILL = """
import sys
from pathlib import Path
from resomap.data.store import resumable_arrays
from tests.unit.data.store.test_resumable_arrays import Square, fill
resumable_arrays.SYNC_SECONDS = 0.05
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    fill(folder, range(2000), Square(folder / "log", 0.02), workers=int(sys.argv[2]))
"""


def start_and_kill(folder: Path, workers: int) -> list[int]:
    """Kill a process once it has filled some of 2,000 rows; return the ids of its workers."""
    (folder / "program.py").write_text(SLOW_FILL)
    process = subprocess.Popen(
        [sys.executable, folder / "program.py", folder, str(workers)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    while not ((folder / "log").exists() and len(logged_chunks(folder)) > 12):
        assert process.poll() is None
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    return [int(pid) for pid in children]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(("workers", "at_least"), [(1, 0), (2, 2)])
def test_killed_fill_resumes_and_leaves_no_worker(tmp_path, workers, at_least):
    children = start_and_kill(tmp_path, workers)
    deadline = time.monotonic() + 20
    while any(is_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in children if is_alive(pid)] == []
    assert len(children) >= at_least
    records = np.load(partial_folder(tmp_path) / "records.npy")
    done = np.flatnonzero(records["done"])
    assert 0 < len(done) < 2000
    written = np.load(partial_folder(tmp_path) / "squares.npy")
    assert (written[done] == done[:, None] ** 2).all()
    before = len(logged_chunks(tmp_path))
    fill(tmp_path, range(2000))
    refilled = len(logged_chunks(tmp_path)) - before
    assert refilled == 63 - len(done) // 32 - (1999 in done)
    assert_squares(tmp_path, range(2000))


def test_other_fingerprint_discards_partial_arrays(tmp_path):
    fill(tmp_path, range(64))
    fill(tmp_path, range(64, 128), fingerprint="two")
    assert_squares(tmp_path, range(64, 128))


def test_rows_not_done_are_filled_again_with_their_chunk(tmp_path):
    def fill_first_40(arrays, start, items):
        records = np.zeros(len(items), RECORD)
        records["done"] = np.array(items) < 40
        return records

    fill(tmp_path, range(96), fill_first_40)
    fill(tmp_path, range(96))
    assert logged_chunks(tmp_path) == ["32", "64"]


def test_killed_worker_is_reported_and_rows_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable_arrays, "ROWS_PER_WORKER", 64)
    with pytest.raises(DataError, match="numbers: a worker process was killed"):
        fill(tmp_path, range(2000), Square(tmp_path / "log", fatal=1900), workers=2)
    assert np.load(partial_folder(tmp_path) / "records.npy")["done"].sum() > 500


def test_full_disk_fails_before_first_row(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(OSError, match="No space left"):
        fill(tmp_path, range(64))
    assert not (tmp_path / "log").exists()
    monkeypatch.undo()
    fill(tmp_path, range(64))
    assert_squares(tmp_path, range(64))
