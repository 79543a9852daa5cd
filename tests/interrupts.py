"""Ctrl-C for the processes that tests start."""

import signal
import threading


def obey_interrupts() -> None:
    """Let SIGINT end this process and those that it starts, also when it runs in the background.

    A shell that starts a command with `&` lets it ignore SIGINT, and all that it starts inherit
    that: an interrupt sent to a Snakemake would do nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
