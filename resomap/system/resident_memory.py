"""The resident memory of this process, and malloc settings under which it can be measured."""

import ctypes
import gc
import re
from pathlib import Path

# Parameters of mallopt (glibc's malloc.h), and glibc's own defaults for them. Setting one fixes
# it: by default glibc raises the thresholds, up to 32 MiB, after large blocks have been freed.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
FIXED_MALLOC_OPTIONS = {
    M_MMAP_MAX: 65536,
    M_MMAP_THRESHOLD: 128 * 1024,
    M_TRIM_THRESHOLD: 128 * 1024,
}


def fix_malloc_options() -> None:
    """Make malloc map large blocks and unmap them at once when they are freed.

    Otherwise holes inside the heap would stay resident and count as used.
    """
    libc = ctypes.CDLL(None)
    for parameter, value in FIXED_MALLOC_OPTIONS.items():
        libc.mallopt(parameter, value)


def trim_heap() -> None:
    """Return freed memory to the kernel."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def reset_peak() -> None:
    """Set the peak of the resident memory, VmHWM, back to what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5)


def status_bytes(key: str) -> int:
    """Return an entry of /proc/self/status in bytes, as VmRSS, RssFile or VmHWM."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    match = re.search(rf"{key}:\s+(\d+) kB", status)
    assert match is not None
    return 1024 * int(match[1])


def available_bytes() -> int:
    """Return the memory that new processes could take without swapping, as the kernel estimates."""
    table = Path("/proc/meminfo").read_text(encoding="ascii")
    match = re.search(r"MemAvailable:\s+(\d+) kB", table)
    assert match is not None
    return 1024 * int(match[1])
