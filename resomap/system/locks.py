"""Locks between processes, which the kernel gives back when their holder dies, however it dies."""

import errno
import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from resomap.errors import DiskError

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system answers that keeps no locks: NFS 3 without lockd, Lustre without `-o flock`, others."""


def try_lock(path: Path, about: str = "") -> IO[str] | None:
    """Lock `path` and write into it who holds it; None when somebody else does. Closing the file gives it back.

    It holds between machines that share a file system; DiskError where that keeps no locks (docs/notes/shared-disks.md).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = open_lock(path)
    try:
        _flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    write_lock_owner(stream, about)
    return stream


def read_lock_owner(path: Path) -> dict[str, Any] | None:
    """Who holds the lock (pid, host, since, about); None when nobody does."""
    try:
        stream = path.open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with stream:
        try:
            _flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(stream)
    return None


@contextmanager
def hold_lock(path: Path, about: str) -> Iterator[None]:
    """Hold the lock for a block; says on stderr for whom it waits, if it must."""
    stream = try_lock(path, about)
    if stream is None:
        told = read_lock_owner(path) or {}
        who = f"process {told.get('pid', '?')} on {told.get('host', '?')} (since {told.get('since', '?')})"
        print(
            f"waiting for {who}, which is at work on {about} already",
            file=sys.stderr,
            flush=True,
        )
        stream = open_lock(path)
        _flock(stream, fcntl.LOCK_EX)
        write_lock_owner(stream, about)
    with stream:
        yield


def open_lock(path: Path) -> IO[str]:
    """The file of a lock, not locked yet."""
    # Never truncated on opening: what stands there is its holder's.
    return open(
        path,
        "r+",
        encoding="utf-8",
        opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o666),
    )


def _flock(stream: IO[str], operation: int) -> None:
    try:
        fcntl.flock(stream, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        stream.close()
        if error.errno not in NO_LOCKS:
            raise
        raise DiskError(
            f"{stream.name}: its file system keeps no locks ({error.strerror}), and without them two jobs could write one result.\n"
            "Mount it with locks (Lustre: -o flock; NFS 3: rpc.statd on every node), or work on another disk: snakemake --directory DIR"
        ) from error


def write_lock_owner(stream: IO[str], about: str) -> None:
    """Write into a lock who holds it."""
    me = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "about": about,
    }
    stream.seek(0)
    stream.truncate()
    json.dump(me, stream)
    stream.flush()
    os.fsync(
        stream.fileno()
    )  # another node reads it: NFS would keep it here until the lock is given back


def _read(stream: IO[str]) -> dict[str, Any]:
    try:
        return dict(json.load(stream))
    except ValueError:  # between its lock and its signature
        return {}
