"""Run a module as a program until its first optimizer step, and say how long after the start of its process that was.

usage: python -m benchmarks.first_step MODULE [ARGUMENT ...]
"""

import json
import multiprocessing
import os
import runpy
import sys
from pathlib import Path
from time import monotonic, process_time

from torch.optim.optimizer import register_optimizer_step_post_hook

STARTED = "RESOMAP_BENCHMARK_STARTED"  # as in benchmarks.processes, which would import what not every script does


def report(*_: object) -> None:
    """Print wall and CPU seconds since the start, those of the workers included, and end every process."""
    workers = multiprocessing.active_children()
    cpu = process_time() + sum(_cpu_seconds(worker.pid) for worker in workers)
    told = json.dumps({"wall": monotonic() - float(os.environ[STARTED]), "cpu": cpu})
    print(f"\n{told}", flush=True)  # a progress bar may have left its line open
    for worker in workers:
        worker.kill()
    os._exit(0)


def _cpu_seconds(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    register_optimizer_step_post_hook(report)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
