"""Effects of network file systems, simulated on one machine: late errors, stale names, races.

Each was first observed between two nodes and a real NFS server (docs/notes/shared-disks.md).
"""

import errno
import fcntl
import glob
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from resomap.data.loading.placement import DiskImages, place_images
from resomap.data.store.npy_file import NpyFile
from resomap.entry.arguments import run_entry_point
from resomap.errors import DataError, DiskError
from resomap.system.files import file_sha256, write_array, write_json, write_rows, write_text
from resomap.system.locks import hold_lock, read_lock_owner, try_lock
from resomap.training import checkpoint, states
from resomap.training.checkpoint import save_weights
from resomap.training.publish import StagedResults
from resomap.training.states import StateFolder
from resomap.workflow.lifecycle import clear_finished_states

LATE_ERRORS = {name: getattr(errno, name) for name in ("EIO", "ESTALE", "EDQUOT", "ENOSPC")}
WRITERS = {
    "weights.safetensors": lambda path: save_weights(
        path, {"w": torch.ones(9)}, {"status": "new"}
    ),
    "labels.npy": lambda path: write_array(path, np.arange(9)),
    "metrics.json": lambda path: write_json(path, {"new": 1}),
    "history.csv": lambda path: write_rows(path, [{"new": 1}], ["new"]),
}


def failing(code: int):
    """Return a system call that fails without naming a file, as those on open files do."""

    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    return fail


def path_of(descriptor: int) -> Path:
    """Return the path of an open file or folder."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def error_of(monkeypatch, main) -> str:
    """Return the message with which a job fails; SystemExit with a text is exit code 1."""
    monkeypatch.setattr(sys, "argv", ["main"])
    with pytest.raises(SystemExit) as stopped:
        run_entry_point(main)
    assert isinstance(stopped.value.code, str)
    return stopped.value.code


# Late errors


@pytest.mark.parametrize("code", LATE_ERRORS.values(), ids=LATE_ERRORS)
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("name", WRITERS)
def test_late_error_keeps_old_file_and_names_it(tmp_path, monkeypatch, name, call, code):
    path = tmp_path / name
    write_text(path, "old")
    monkeypatch.setattr(os, call, failing(code))
    assert str(path) in error_of(monkeypatch, lambda: WRITERS[name](path))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("EDQUOT", "over quota, no space left"),
        ("ESTALE", "run again"),
        ("EIO", "run again when it works"),
    ],
)
def test_disk_error_is_reported_with_remedy(monkeypatch, code, remedy):
    def main() -> None:
        failing(LATE_ERRORS[code])()

    assert remedy in error_of(monkeypatch, main)


def test_other_os_error_keeps_traceback(monkeypatch):
    def main() -> None:
        failing(errno.ECHILD)()

    monkeypatch.setattr(sys, "argv", ["main"])
    with pytest.raises(ChildProcessError):
        run_entry_point(main)


def test_content_is_synced_before_name(tmp_path, monkeypatch):
    seen = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (seen.append(path_of(file)), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda old, new: (seen.append(new), replace(old, new)))
    write_text(tmp_path / "metrics.json", "new")
    assert seen[0].suffix == ".json"
    assert seen[1:] == [tmp_path / "metrics.json", tmp_path]


def test_folder_without_sync_is_no_error(tmp_path, monkeypatch):
    fsync = os.fsync
    monkeypatch.setattr(
        os,
        "fsync",
        lambda file: failing(errno.EINVAL)() if path_of(file).is_dir() else fsync(file),
    )
    write_text(tmp_path / "metrics.json", "new")
    assert (tmp_path / "metrics.json").read_text() == "new"


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.ENOSPC, errno.EIO])
def test_safetensors_error_becomes_os_error(tmp_path, monkeypatch, code):
    def save_file(*arguments, **options):
        raise SafetensorError(
            f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})"
        )

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    with pytest.raises(OSError, match="best") as caught:
        save_weights(tmp_path / "best.safetensors", {}, {})
    assert caught.value.errno == code
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failed_state_keeps_previous_one(tmp_path, monkeypatch, call):
    kept = StateFolder(tmp_path, "mine")
    kept.save({"number": 0})
    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing(errno.EDQUOT))
        with pytest.raises(OSError, match="quota") as caught:
            kept.save({"number": 1})
    assert caught.value.filename == str(tmp_path)
    assert kept.load() == {"number": 0}
    assert len(list(tmp_path.iterdir())) == 1


# Locks

LOCKS_UNSUPPORTED = {name: getattr(errno, name) for name in ("ENOLCK", "EOPNOTSUPP", "ENOSYS")}


def hold_and_fail(path: Path) -> None:
    with hold_lock(path, "this run"):
        raise AssertionError("a job runs without its lock")


@pytest.mark.parametrize("code", LOCKS_UNSUPPORTED.values(), ids=LOCKS_UNSUPPORTED)
@pytest.mark.parametrize("use", [try_lock, read_lock_owner, hold_and_fail])
def test_missing_lock_support_is_refused_with_remedy(tmp_path, monkeypatch, use, code):
    path = tmp_path / "lock"
    path.touch()
    monkeypatch.setattr(fcntl, "flock", failing(code))
    with pytest.raises(DiskError) as caught:
        use(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "-o flock" in message
    assert "--directory" in message
    assert len(message.splitlines()) <= 3


def test_other_lock_error_is_raised_unchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        try_lock(tmp_path / "lock")


def test_lock_owner_is_synced_at_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda file: synced.append(Path(f"/proc/self/fd/{file}").read_text())
    )
    with hold_lock(tmp_path / "lock", "this run"):
        assert [str(os.getpid()) in text for text in synced] == [True]


# Stale names


@pytest.fixture
def silly_rename(monkeypatch):
    """Simulate that NFS keeps a removed open file under another name (silly rename)."""
    unlink = os.unlink

    def rename_or_unlink(path, *, dir_fd=None):
        whole = Path(path) if dir_fd is None else path_of(dir_fd) / path
        if any(
            file.exists() and file.samefile(whole) for file in Path("/proc/self/fd").iterdir()
        ):
            whole.rename(whole.with_name(f".nfs{whole.stat().st_ino:016x}"))
        else:
            unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", rename_or_unlink)


@pytest.fixture
def finished(tmp_path) -> Path:
    state = tmp_path / ".state/train/custom/tiny_cnn/r24/seed0"
    for name in ("done/fingerprint.txt", "first/state1.abc.pt", "lock"):
        write_text(state / name, "x")
    return state


def test_silly_rename_blocks_folder_removal(finished, silly_rename):
    with (finished / "lock").open(), pytest.raises(OSError, match="not empty"):
        shutil.rmtree(finished)


def test_finished_state_is_removed_with_its_lock(tmp_path, finished, silly_rename):
    clear_finished_states(tmp_path / ".state")
    assert list(tmp_path.iterdir()) == []


def test_open_file_of_state_is_removed_later(tmp_path, finished, silly_rename):
    with (finished / "done/fingerprint.txt").open():
        clear_finished_states(tmp_path / ".state")
        assert not finished.exists()
    clear_finished_states(tmp_path / ".state")
    assert list(tmp_path.iterdir()) == []


def test_running_training_keeps_its_state(tmp_path, finished):
    with hold_lock(finished / "lock", "this run"):
        clear_finished_states(tmp_path / ".state")
        assert (finished / "done/fingerprint.txt").exists()


@pytest.fixture
def negative_cache(monkeypatch):
    """Simulate that NFS caches a missing name until its folder is listed (or for a minute)."""
    stat, scandir, listdir = os.stat, os.scandir, os.listdir
    absent: set[Path] = set()

    def remembered(path, *arguments, **options):
        above = [*reversed(Path(path).parents), Path(path)][1:]
        try:
            if absent.intersection(above):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            return stat(path, *arguments, **options)
        except FileNotFoundError:
            absent.add(
                next(
                    name
                    for name in above
                    if name in absent or name.name not in listdir(name.parent)
                )
            )
            raise

    def listing(call):
        def refreshed(folder):
            absent.difference_update([name for name in absent if name.parent == Path(folder)])
            return call(folder)

        return refreshed

    # Python 3.13 keeps the scandir of pathlib's globs apart from that of `os`.
    globber = getattr(glob, "_StringGlobber", None)
    if globber is not None:
        monkeypatch.setattr(globber, "scandir", staticmethod(listing(scandir)))
    for name, double in (
        ("stat", remembered),
        ("scandir", listing(scandir)),
        ("listdir", listing(listdir)),
    ):
        monkeypatch.setattr(os, name, double)


def test_results_of_other_node_are_found(tmp_path, negative_cache):
    results = StagedResults(tmp_path / "state/done", "mine", ())
    (tmp_path / "state").mkdir()
    assert not (results.folder / "fingerprint.txt").exists()
    results.folder.mkdir()
    (results.folder / "fingerprint.txt").write_text("mine")
    assert not results.folder.exists(), "the simulated cache does not work"
    assert results.is_finished


# Races


def test_two_lock_owners_write_whole_states(tmp_path, monkeypatch):
    first, second, write = (
        StateFolder(tmp_path, "mine"),
        StateFolder(tmp_path, "mine"),
        states.write_state,
    )

    def write_slowly(path: Path, tree: object) -> None:
        monkeypatch.setattr(states, "write_state", write)
        write(path, tree)
        second.save({"from": "second"})

    monkeypatch.setattr(states, "write_state", write_slowly)
    first.save({"from": "first"})
    assert [file_sha256(path) in path.name for path in tmp_path.iterdir()] == [True, True]


def test_simultaneous_finishes_do_not_mix_results(tmp_path):
    first, second = (
        StagedResults(tmp_path / "done", "mine", (tmp_path / name,))
        for name in ("metrics.json", "metrics.json")
    )
    with (
        pytest.raises(FileNotFoundError),
        first.writing() as (metrics,),
    ):  # its retry finds the results of the second
        with second.writing() as (second_metrics,):
            write_text(second_metrics, "second")
        metrics.write_text("first")
    second.publish()
    assert first.is_finished
    assert (tmp_path / "metrics.json").read_text() == "second"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "metrics.json"]


# Arrays


@pytest.fixture
def array(tmp_path) -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    np.save(tmp_path / "train.npy", images)
    return np.load(tmp_path / "train.npy", mmap_mode="r")


def test_row_file_is_allocated_by_emulation(tmp_path, monkeypatch):
    # glibc emulates the call on NFS 3: it reads a byte of each block and writes it back.
    def emulated(file: int, start: int, length: int) -> None:
        os.pread(file, 1, start)
        os.pwrite(file, b"\0", length - 1)

    monkeypatch.setattr(os, "posix_fallocate", emulated)
    NpyFile.create(tmp_path / "native.npy", (5, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(np.load(tmp_path / "native.npy"), np.zeros((5, 4, 4, 3)))


def test_partial_reads_are_completed(tmp_path, array, monkeypatch):
    preadv = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda file, buffers, place: preadv(file, [buffers[0][:7]], place)
    )
    np.testing.assert_array_equal(
        DiskImages(tmp_path / "train.npy")[torch.tensor([3, 1])].numpy(), array[[3, 1]]
    )
    np.testing.assert_array_equal(place_images(array, torch.device("cpu")).numpy(), array)


def test_failed_read_raises_error_with_file(tmp_path, array, monkeypatch):
    preadv, calls = os.preadv, []

    def half(file, buffers, place):
        calls.append(place)
        return (
            preadv(file, [buffers[0][:7]], place) if len(calls) == 1 else failing(errno.EIO)()
        )

    monkeypatch.setattr(os, "preadv", half)
    with pytest.raises(OSError, match=r"train\.npy") as caught:
        place_images(array, torch.device("cpu"))
    assert caught.value.errno == errno.EIO


def test_shrunken_file_raises_error_not_sigbus(tmp_path, array):
    os.truncate(tmp_path / "train.npy", 150)
    with pytest.raises(DataError, match=r"train\.npy ends too early"):
        place_images(array, torch.device("cpu"))
