"""Hand a job of a local sweep to the job server, which has PyTorch loaded (decision 0031).

The package of the entry points imports this module before torch, and importing it is what counts:
where a server takes the job, this process waits for it and never returns from the import. Without
a server, or where it does not take the job, the job runs here.
"""

import json
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

ADDRESS_VARIABLE = "RESOMAP_JOB_SERVER"
"""Name of the server's socket for jobs. A user sets it to `off`, and no server is started."""
# Trainings and profiles record the memory and the time of their process, so they start it.
SERVED_MODULES = tuple(f"resomap.entry.{name}" for name in ("evaluate", "explain", "summarise"))
FORWARDED_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTSTP,
    signal.SIGCONT,
)


def hand_over() -> None:
    """Let the job server run the job of this process and end as the job ends.

    Return where the job is to run here: it is not served, or the server is away or has refused.
    """
    module = _find_module()
    if module not in SERVED_MODULES:
        return
    # Removed: processes that a job starts are no jobs.
    address = os.environ.pop(ADDRESS_VARIABLE, "")
    if address.startswith("@"):
        with suppress(OSError), _connect(address) as connection:
            _send_request(connection, module)
            _wait_for_end(connection)


def _wait_for_end(connection: "socket.socket") -> None:
    """End as the job ends; return if it was not started, or its server was killed with it."""
    forwarded: list[int] = []
    handlers = _forward_signals(connection, forwarded)
    try:
        # The fork holds the server's end of the connection, too: an end of file comes after the
        # end of the job, so that no job ever runs twice at once.
        status = connection.recv(16)
    except OSError:
        status = b""
    if status:
        _end_as(int(status))
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
    for signum in forwarded:  # they were for the job, which now runs here
        os.kill(os.getpid(), signum)


def _find_module() -> str:
    """Return the module that `python -m` is about to run; blank where it is none."""
    # While its packages are imported, `-m` stands for the path of the module.
    return sys.orig_argv[-len(sys.argv)] if sys.argv[:1] == ["-m"] else ""


def _connect(address: str) -> "socket.socket":
    import socket

    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"\0{address[1:]}")
        # A name outside the file system has no permissions: another user may have taken it.
        if peer_user(connection) != os.geteuid():
            raise PermissionError(address)
    except OSError:
        connection.close()
        raise
    return connection


def peer_user(connection: "socket.socket") -> int:
    """Return the user id of the process at the other end of a Unix socket."""
    import socket
    import struct

    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", credentials)[1])


def describe_interpreter() -> str:
    """Return the environment of Python and its version."""
    return f"{sys.prefix} {sys.version}"


def describe_job(module: str) -> dict[str, object]:
    """Return all that a fork of the server needs to be equal to this process."""
    return {
        "module": module,
        "arguments": sys.argv[1:],
        "interpreter": describe_interpreter(),
        "directory": os.getcwd(),  # noqa: PTH109 pathlib is not loaded here
        "environment": dict(os.environ),
    }


def _send_request(connection: "socket.socket", module: str) -> None:
    import socket

    # In memory that both share: one message that the server reads without waiting for more.
    file = os.memfd_create("job")
    try:
        os.write(file, json.dumps(describe_job(module)).encode())
        socket.send_fds(connection, [b"job"], [file, 0, 1, 2])
    finally:
        os.close(file)


def _forward_signals(connection: "socket.socket", forwarded: list[int]) -> dict[int, Any]:
    """Send signals to the job from now on, noted in `forwarded`; return the earlier handlers."""

    def forward(signum: int, _: FrameType | None) -> None:
        forwarded.append(signum)
        try:
            connection.send(bytes([signum]))
        except OSError:  # the server has ended
            return
        if signum == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)

    # What is ignored stays ignored, as for a job in the background of a shell.
    return {
        signum: signal.signal(signum, forward)
        for signum in FORWARDED_SIGNALS
        if signal.getsignal(signum) is not signal.SIG_IGN
    }


def _end_as(code: int) -> None:
    """End this process with an exit code, or by the signal -`code`."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    # Nothing to flush: this process has printed nothing.
    os._exit(code)


hand_over()
