"""Run Snakemake's command line with an executor that polls its SLURM jobs every two seconds.

The plugin waits ten seconds longer after each poll that finds no finished job, up to three minutes,
and has no option for it. That suits a cluster; tests with jobs of eight seconds would mostly sleep.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

POLL_SECONDS = 2.0


async def _sleep_briefly(executor: RemoteExecutor) -> None:
    await asyncio.sleep(POLL_SECONDS)


if __name__ == "__main__":
    RemoteExecutor.sleep = _sleep_briefly
    sys.argv[0] = "snakemake"
    main()
