"""The server of a local sweep that runs jobs in forks of itself, with PyTorch loaded (decision 0031).

`python -m resomap.system.job_server FD` serves the listening socket FD until its standard input,
a pipe of Snakemake, closes and no job is left. It has one thread, and its libraries are those of
third parties only: a fork imports the modules of this package itself, as a new process does.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any, NamedTuple

from resomap.system import quick_exit
from resomap.system.job_client import (
    ADDRESS_VARIABLE,
    SERVED_MODULES,
    describe_interpreter,
    peer_user,
)

LIBRARIES = (
    "torch",
    "torchvision",
    "captum.attr",
    "scipy.optimize",
    "safetensors.torch",
    "pydantic",
    "yaml",
)
READ_AT_START = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")
"""Variables that Python and the C library read when a process starts."""
SET_BY_SHELL = ("_", "SHLVL", "OLDPWD")
END_SECONDS = 5.0
PR_SET_PDEATHSIG = 1  # from linux/prctl.h


class Request(NamedTuple):
    """A job and the setting of the process that handed it over."""

    module: str
    arguments: list[str]
    interpreter: str
    directory: str
    environment: dict[str, str]


class JobServer:
    """Forks a process per job, tells its client how it ended, and kills it if the client dies."""

    def __init__(self, listener: socket.socket, parent: int) -> None:
        self._listener, self._parent = listener, parent
        # None until its request has arrived, then the process id of its job.
        self._clients = dict[socket.socket, int | None]()
        self._environment: dict[str, str] | None = None
        self._is_open, self._is_told_to_end = True, False
        self._handlers = dict[signal.Signals, Any]()
        self._alarm, self._wakeup = socket.socketpair()
        # Not epoll: a fork would share it.
        self._selector = selectors.PollSelector()
        for source in (listener, parent, self._alarm):
            self._selector.register(source, selectors.EVENT_READ)

    def serve(self) -> Request | None:
        """Serve jobs to the end, then return None; in a fork return its job."""
        self._watch_signals()
        while self._is_open or self._clients:
            ready = {key.fileobj for key, _ in self._selector.select()}
            self._reap()
            if self._parent in ready or self._is_told_to_end:
                self._close()
            for client in [each for each in self._clients if each in ready]:
                request = self._hear(client)
                if request is not None:
                    return request
            if self._listener in ready and self._is_open:
                self._accept()
        return None

    def _watch_signals(self) -> None:
        """Let signals end a wait, and SIGTERM and SIGINT end the server after its last job."""

        def end(*_: object) -> None:
            self._is_told_to_end = True

        for side in (self._alarm, self._wakeup):
            side.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for signum, handler in (
            (signal.SIGCHLD, lambda *_: None),
            (signal.SIGTERM, end),
            (signal.SIGINT, end),
        ):
            self._handlers[signum] = signal.signal(signum, handler)

    def _close(self) -> None:
        """Take no more clients; those that wait get an end of file and run their jobs themselves."""
        if self._is_open:
            self._is_open = False
            for source in (self._listener, self._parent):
                self._selector.unregister(source)
            self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            if peer_user(client) != os.geteuid():
                client.close()
                return
            client.setblocking(False)
            self._clients[client] = None
            self._selector.register(client, selectors.EVENT_READ)

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        del self._clients[client]
        client.close()

    def _reap(self) -> None:
        """Report jobs that have ended to their clients."""
        with suppress(BlockingIOError):
            self._alarm.recv(4096)
        for client, pid in list(self._clients.items()):
            ended, status = os.waitpid(pid, os.WNOHANG) if pid else (0, 0)
            if ended:
                with suppress(OSError):
                    client.send(str(os.waitstatus_to_exitcode(status)).encode())
                self._drop(client)

    def _hear(self, client: socket.socket) -> Request | None:
        """Take what a client has sent: its request or signals for its job.

        Return the request in the fork that is its job, else None.
        """
        pid = self._clients.get(client)
        if pid is None:
            return self._start(client) if client in self._clients else None
        try:
            signals = client.recv(64)
        except BlockingIOError:
            return None
        except OSError:
            signals = b""
        if not signals:
            # The client was killed. Its job must not outlive it, and Snakemake may already
            # start the job again.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self._drop(client)
        for signum in signals:
            # A job in a session without a terminal ignores SIGTSTP.
            stops = signum == signal.SIGTSTP
            os.kill(pid, signal.SIGSTOP if stops else signum)
        return None

    def _start(self, client: socket.socket) -> Request | None:
        """Fork the job of a client, or drop it, so that it runs its job itself."""
        files: list[int] = []
        try:
            _, files, _, _ = socket.recv_fds(client, 16, 4)
            with os.fdopen(files.pop(0), "rb") as stream:
                stream.seek(0)
                request = Request(**json.load(stream))
            is_served = len(files) == 3 and self._can_serve(request)
        except (OSError, ValueError, TypeError, LookupError):
            is_served = False
        # A client that was killed before this one connected is seen here: its job ends before
        # another one, perhaps its successor, starts.
        for other, pid in list(self._clients.items()):
            if pid is not None:
                self._hear(other)
        if is_served and self._fork(client, files):
            return request
        for file in files:
            os.close(file)
        if not is_served:
            self._drop(client)
        return None

    def _fork(self, client: socket.socket, files: list[int]) -> bool:
        """Return True in a new fork, which is the job of `client`, and False in the server."""
        server = os.getpid()
        # A signal that arrives before the fork has its own handlers would be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
        except OSError:  # too little memory or too many processes: its client tries by itself
            pid = -1
            self._drop(client)
        if pid > 0:
            self._clients[client] = pid
        elif pid == 0:
            self._become_job(client, files, server)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid == 0

    def _can_serve(self, request: Request) -> bool:
        """Return whether a fork would be what a new process is; load the libraries first."""
        here = (describe_interpreter(), os.getcwd())  # noqa: PTH109 compared as text
        if request.module not in SERVED_MODULES:
            return False
        if here != (request.interpreter, request.directory):
            return False
        # Libraries read variables, such as those of threads, when they are loaded: those of the
        # first job hold, and a job with others runs by itself.
        wanted = _without(request.environment, SET_BY_SHELL)
        if self._environment is None:
            self._environment = wanted if _load_libraries(wanted) else {}
        return self._environment == wanted

    def _become_job(self, client: socket.socket, files: list[int], server: int) -> None:
        """Leave nothing of the server in this fork, and take the files of the client."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:  # it has died in between
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        self._selector.close()
        for each in (*self._clients, self._listener, self._alarm, self._wakeup):
            if each is not client:
                each.close()
        client.detach()  # open until this process ends


def start_job_server() -> None:
    """Start a server for the jobs of this process, which ends and is waited for at exit.

    It is idle and small until the first job comes. Nothing is started where the user has set
    RESOMAP_JOB_SERVER to `off`, or elsewhere than on Linux, whose features make kills safe.
    """
    if sys.platform != "linux" or os.environ.get(ADDRESS_VARIABLE) == "off":
        return
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # Linux chooses a free name outside the file system
        listener.listen(128)
        # Without a terminal: its signals reach the clients, which forward them.
        server = subprocess.Popen(
            [sys.executable, "-m", "resomap.system.job_server", str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        os.environ[ADDRESS_VARIABLE] = f"@{listener.getsockname()[1:].decode()}"
    atexit.register(_end_server, server)


def _end_server(server: "subprocess.Popen[bytes]") -> None:
    assert server.stdin is not None
    server.stdin.close()
    # At once unless jobs still run, as after Ctrl-C; they go on without Snakemake.
    with suppress(subprocess.TimeoutExpired):
        server.wait(END_SECONDS)


def _without(environment: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name not in names}


def _load_libraries(environment: dict[str, str]) -> bool:
    """Import the libraries under `environment`; return whether forks can use them."""
    if _at_start(environment) != _at_start(dict(os.environ)):
        return False
    os.environ.clear()
    os.environ.update(environment)
    for name in LIBRARIES:
        with suppress(Exception):  # the job reports it, if it needs it
            importlib.import_module(name)
    # Else each collection in a fork would copy the pages of all these objects.
    gc.freeze()
    atexit.register(gc.unfreeze)  # where a job ends by an exception, and libraries count leaks
    # A fork has the calling thread only: another one may hold a lock for ever.
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208


def _at_start(environment: dict[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environment.items() if name.startswith(READ_AT_START)
    }


if __name__ == "__main__":
    # As the package of the entry points does first.
    importlib.import_module("resomap.system.interrupts")
    quick_exit.register()
    job = JobServer(socket.socket(fileno=int(sys.argv[1])), sys.stdin.fileno()).serve()
    if job is None:
        os._exit(0)
    sys.argv = [job.module, *job.arguments]
    runpy.run_module(job.module, run_name="__main__", alter_sys=True)
