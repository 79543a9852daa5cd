"""Locks between processes, which the kernel gives back when their holder dies, however it dies."""

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


def try_lock(path: Path, about: str = "") -> IO[str] | None:
    """Lock `path` and write into it who holds it; None when somebody else does. Closing the file gives it back.

    On a network file system it holds between machines where the mount supports it (NFS 4 does).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = open_lock(path)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    sign(stream, about)
    return stream


def holder(path: Path) -> dict[str, Any] | None:
    """Who holds the lock (pid, host, since, about); None when nobody does."""
    try:
        stream = path.open(encoding="utf-8")
    except FileNotFoundError:
        return None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(stream)
    return None


@contextmanager
def holding(path: Path, about: str) -> Iterator[None]:
    """Hold the lock for a block; says on stderr for whom it waits, if it must."""
    stream = try_lock(path, about)
    if stream is None:
        told = holder(path) or {}
        who = f"process {told.get('pid', '?')} on {told.get('host', '?')} (since {told.get('since', '?')})"
        print(f"waiting for {who}, which is at work on {about} already", file=sys.stderr, flush=True)
        stream = open_lock(path)
        fcntl.flock(stream, fcntl.LOCK_EX)
        sign(stream, about)
    with stream:
        yield


def open_lock(path: Path) -> IO[str]:
    """The file of a lock, not locked yet."""
    # Never truncated on opening: what stands there is its holder's.
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+", encoding="utf-8")


def sign(stream: IO[str], about: str) -> None:
    """Write into a lock who holds it."""
    me = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds"), "about": about}
    stream.seek(0)
    stream.truncate()
    json.dump(me, stream)
    stream.flush()


def _read(stream: IO[str]) -> dict[str, Any]:
    try:
        return dict(json.load(stream))
    except ValueError:  # between its lock and its signature
        return {}
