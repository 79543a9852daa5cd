"""Peak memory of a runtime, measured in a process that does nothing else.

As for networks in PyTorch (`profiling/memory.py`), the peak is that of a later pass: weights,
images, buffers that the runtime keeps, and activations. Loading the file is no part of it.
"""

import errno
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from resomap.config.deploy import RuntimeName
from resomap.deploy.packages import import_package
from resomap.deploy.runtimes.calls import load_network
from resomap.errors import ResoMapError
from resomap.system.out_of_memory import is_out_of_memory
from resomap.system.resident_memory import (
    fix_malloc_options,
    reset_peak,
    status_bytes,
    trim_heap,
)

MEASUREMENTS = 3


class RuntimeFailure(ResoMapError):
    """An exported network that a runtime cannot load or run."""


def runtime_peaks(
    runtime: RuntimeName, file: Path, shape: tuple[int, ...], threads: int
) -> list[int]:
    """Return the peak bytes of several passes in a new process, less what the import took.

    Raises MemoryError if memory does not suffice, and RuntimeFailure with the runtime's reason
    if it cannot load or run the network.
    """
    arguments = json.dumps([runtime, str(file), list(shape), threads])
    process = subprocess.run(
        [sys.executable, "-m", "resomap.deploy.runtimes.memory", arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode in (-signal.SIGKILL, errno.ENOMEM):
        raise MemoryError(f"{runtime} ended with status {process.returncode}")
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"status {process.returncode}"]
        raise RuntimeFailure(f"it does not run in {runtime}: {lines[-1].strip()}")
    # Whatever a library prints stands before it.
    return [int(peak) for peak in json.loads(process.stdout.splitlines()[-1])]


def measure_peaks(
    runtime: RuntimeName, file: Path, shape: tuple[int, ...], threads: int
) -> list[int]:
    """Load a network in this process and return the peak growth in each of several passes."""
    import_package(runtime)
    fix_malloc_options()
    trim_heap()
    before, files_before = status_bytes("VmRSS"), status_bytes("RssFile")
    images = np.zeros(shape, np.float32)
    run = load_network(runtime, file, shape, threads)
    run(images)  # the runtime allocates what it keeps
    peaks = []
    for _ in range(MEASUREMENTS):
        trim_heap()
        reset_peak()
        run(images)
        # Pages of libraries are no memory of the network, and the kernel may drop them.
        files = max(0, status_bytes("RssFile") - files_before)
        peaks.append(max(0, status_bytes("VmHWM") - before - files))
    return peaks


def main() -> None:
    """Print the peaks for the arguments of `measure_peaks`, as JSON."""
    runtime, file, shape, threads = json.loads(sys.argv[1])
    try:
        print(json.dumps(measure_peaks(runtime, Path(file), tuple(shape), threads)))
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            sys.exit(errno.ENOMEM)
        raise


if __name__ == "__main__":
    main()
