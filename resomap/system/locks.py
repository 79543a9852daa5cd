"""Locks between processes and machines, which the kernel releases when their owner dies."""

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

LOCKS_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of file systems without locks, such as NFS 3 without lockd or Lustre without `-o flock`."""


def try_lock(path: Path, purpose: str = "") -> IO[str] | None:
    """Lock `path` and record its owner in it; return None if another process holds it.

    Closing the returned file releases the lock. It also holds between machines that share a file
    system; DiskError if that file system has no locks (docs/notes/shared-disks.md).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = open_lock(path)
    try:
        _flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    write_lock_owner(stream, purpose)
    return stream


def read_lock_owner(path: Path) -> dict[str, Any] | None:
    """Return the owner of a lock (pid, host, since, purpose), or None if it is free.

    The owner is empty between the moment in which a process takes a lock and its record.
    """
    try:
        stream = path.open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with stream:
        try:
            _flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_owner(stream)
    return None


@contextmanager
def hold_lock(path: Path, purpose: str) -> Iterator[None]:
    """Hold the lock for a block; if another process holds it, report that on stderr and wait."""
    stream = try_lock(path, purpose)
    if stream is None:
        _report_waiting(path, purpose)
        stream = open_lock(path)
        _flock(stream, fcntl.LOCK_EX)
        write_lock_owner(stream, purpose)
    with stream:
        yield


def _report_waiting(path: Path, purpose: str) -> None:
    owner = read_lock_owner(path) or {}
    pid, host, since = (owner.get(name, "?") for name in ("pid", "host", "since"))
    message = (
        f"waiting for process {pid} on {host} (since {since}), which is working on {purpose}"
    )
    print(message, file=sys.stderr, flush=True)


def open_lock(path: Path) -> IO[str]:
    """Open the file of a lock without locking it; DiskError if it is a link."""

    def create(name: str, flags: int) -> int:
        # A lock in a folder of all users may be a link that another user planted: the owner would be
        # written into the file that it leads to.
        return os.open(name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o666)

    try:
        # Mode "w" would truncate the record of the current owner.
        return open(path, "r+", encoding="utf-8", opener=create)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise DiskError(f"{path} is a link, not the file of a lock: delete it") from error


def _flock(stream: IO[str], operation: int) -> None:
    try:
        fcntl.flock(stream, operation)
    except BlockingIOError:
        raise
    except OSError as error:
        stream.close()
        if error.errno not in LOCKS_UNSUPPORTED:
            raise
        raise DiskError(
            f"{stream.name}: its file system has no locks ({error.strerror}); without them two "
            "jobs could write the same result.\n"
            "Mount it with locks (Lustre: -o flock; NFS 3: rpc.statd on every node), or use "
            "another disk: snakemake --directory DIR"
        ) from error


def write_lock_owner(stream: IO[str], purpose: str) -> None:
    """Record this process as the owner in an open lock."""
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "purpose": purpose,
    }
    stream.seek(0)
    stream.truncate()
    json.dump(owner, stream)
    stream.flush()
    # Other nodes read the record: without fsync, NFS keeps it here until the lock is released.
    os.fsync(stream.fileno())


def _read_owner(stream: IO[str]) -> dict[str, Any]:
    try:
        return dict(json.load(stream))
    except ValueError:
        return {}
