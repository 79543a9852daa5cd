"""Run snakemake in this process and print, last, how many CPU seconds were its own and how many its jobs'.

usage: python -m benchmarks.own_cpu [ARGUMENT OF SNAKEMAKE ...]
"""

import json
import resource
import sys

from snakemake.cli import main


def seconds(whose: int) -> float:
    """CPU seconds of this process or of its children."""
    usage = resource.getrusage(whose)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    finally:
        told = json.dumps(
            {"own": seconds(resource.RUSAGE_SELF), "jobs": seconds(resource.RUSAGE_CHILDREN)}
        )
        print(f"\n{told}", flush=True)
