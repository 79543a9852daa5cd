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
from resomap.data.store.npy_file import NpyFile
from resomap.data.store.resumable_arrays import (
    DONE,
    FillPlan,
    fill_arrays,
    partial_folder,
    publish_arrays,
)
from resomap.errors import DataError

LINE = np.dtype([("done", "u1"), ("seen", "i8")])


@dataclass(frozen=True)
class Squares:
    """Writes n * n for every item n, and a line in `log` for every chunk; after `most` chunks it is killed."""

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
        lines = np.zeros(len(items), LINE)
        lines["done"], lines["seen"] = DONE, items
        return lines


def plan(task, count, mark="one"):
    return FillPlan(mark, {"squares": ((count, 4), np.int64)}, LINE, task, "numbers")


def result(folder):
    publish_arrays(folder, {"squares": "squares.npy"})
    return np.load(folder / "squares.npy")


@pytest.mark.parametrize(("workers", "per_worker"), [(1, 1000), (2, 64)])
def test_every_row_is_filled_by_one_process_or_by_several(
    tmp_path, monkeypatch, workers, per_worker
):
    monkeypatch.setattr(resumable_arrays, "ROWS_PER_WORKER", per_worker)
    lines = fill_arrays(
        tmp_path, plan(Squares(tmp_path / "log"), 300), list(range(300)), workers
    )
    assert (lines["seen"] == np.arange(300)).all()
    assert (result(tmp_path) == np.arange(300)[:, None] ** 2).all()
    assert not partial_folder(tmp_path).exists()


def killed_in_the_middle(folder, workers):
    """A filling of 2,000 rows in a process of its own that is killed once some of them are done; returns its workers."""
    program = (
        "import sys; from pathlib import Path; from resomap.data.store import resumable_arrays; from tests.unit.test_filling import Squares, plan\n"
        "resumable_arrays.SYNC_SECONDS = 0.05\n"
        f"if __name__ == '__main__': resumable_arrays.fill_arrays(Path({str(folder)!r}), plan(Squares(Path({str(folder / 'log')!r}), 0.02), 2000), list(range(2000)), {workers})\n"
    )
    (folder / "program.py").write_text(program)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, folder / "program.py"], env=environment, stderr=subprocess.DEVNULL
    )
    log = folder / "log"
    while not (log.exists() and len(log.read_text().split()) > 12):
        assert process.poll() is None
        time.sleep(0.01)
    children = [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]
    process.kill()
    process.wait()
    return children


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_filling_goes_on_and_no_process_of_it_stays(tmp_path, workers):
    children = killed_in_the_middle(tmp_path, workers)
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in children if _alive(pid)] == []
    assert len(children) >= (workers if workers > 1 else 0)
    facts = np.load(partial_folder(tmp_path) / "records.npy")
    done = np.flatnonzero(facts["done"])
    assert 0 < len(done) < 2000
    written = np.load(partial_folder(tmp_path) / "squares.npy")
    assert (written[done] == done[:, None] ** 2).all()
    before = len((tmp_path / "log").read_text().split())
    fill_arrays(tmp_path, plan(Squares(tmp_path / "log"), 2000), list(range(2000)), 1)
    chunks = (tmp_path / "log").read_text().split()[before:]
    assert len(chunks) == 63 - len(done) // 32 - (2000 - 1 in done)
    assert (result(tmp_path) == np.arange(2000)[:, None] ** 2).all()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_was_grown_for_another_mark_is_thrown_away(tmp_path):
    fill_arrays(tmp_path, plan(Squares(tmp_path / "log"), 64), list(range(64)), 1)
    fill_arrays(
        tmp_path, plan(Squares(tmp_path / "log"), 64, mark="two"), list(range(64, 128)), 1
    )
    assert (result(tmp_path) == np.arange(64, 128)[:, None] ** 2).all()


def test_rows_that_are_not_done_are_tried_again_with_their_chunk(tmp_path):
    def half(arrays, start, items):
        lines = np.zeros(len(items), LINE)
        lines["done"] = np.array(items) < 40
        return lines

    fill_arrays(tmp_path, plan(half, 96), list(range(96)), 1)
    fill_arrays(tmp_path, plan(Squares(tmp_path / "log"), 96), list(range(96)), 1)
    assert (tmp_path / "log").read_text().split() == ["32", "64"]


def test_a_process_that_is_killed_is_told_in_a_line_and_what_is_done_is_kept(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(resumable_arrays, "ROWS_PER_WORKER", 64)
    with pytest.raises(DataError, match="numbers: a process that reads pictures was killed"):
        fill_arrays(
            tmp_path, plan(Squares(tmp_path / "log", fatal=1900), 2000), list(range(2000)), 2
        )
    assert np.load(partial_folder(tmp_path) / "records.npy")["done"].sum() > 500


def test_a_full_disk_is_told_before_the_first_row(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        fill_arrays(tmp_path, plan(Squares(tmp_path / "log"), 64), list(range(64)), 1)
    assert not (tmp_path / "log").exists()
    monkeypatch.undo()
    fill_arrays(tmp_path, plan(Squares(tmp_path / "log"), 64), list(range(64)), 1)
    assert (result(tmp_path) == np.arange(64)[:, None] ** 2).all()


def test_an_array_of_rows_is_a_npy_file_like_any_other(tmp_path):
    NpyFile.create(tmp_path / "a.npy", (5, 2, 3), np.uint8)
    array = NpyFile.open(tmp_path / "a.npy", writable=True)
    array[1] = np.full((2, 3), 7)
    array[3] = np.arange(12).reshape(2, 2, 3)
    assert (array[4] == np.arange(6, 12).reshape(2, 3)).all()
    array.close()
    stored = np.load(tmp_path / "a.npy")
    assert (stored[0] == 0).all()
    assert (stored[1] == 7).all()
    assert (stored[3:].ravel() == np.arange(12)).all()
