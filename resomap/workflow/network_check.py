"""The check of a sweep's networks before its first job: each is built once at every resolution."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from resomap.config.deploy import check_deploy_packages
from resomap.config.schema import Config
from resomap.errors import ConfigError, DataError
from resomap.system.files import read_json
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from resomap.workflow.layout import artifact

CHECKED_NETWORKS = Path(artifact("checked_networks").path)


def check_networks(config: Config, checked: Path = CHECKED_NETWORKS) -> list[str]:
    """Build every network of the sweep in a process of its own, unless `checked` shows it done.

    Returns what is allowed and worth knowing; ConfigError has a line for each problem.
    """
    # No rule does this, because trainings would have to depend on it, and Snakemake does not
    # compare the params of jobs behind a job that will run. A sweep with one more model and
    # another learning rate would keep its old trainings.
    job = build_job(config, jobs.CheckNetworks)
    # The job names weights, not their content: they are read, and downloaded, each time.
    is_checked = config.training.start.is_random and _read_checked(checked) == job.model_dump(
        mode="json"
    )
    # Where jobs run in an environment of their own (`--sdm conda`), there may be no torch here.
    has_torch = find_spec("torch") is not None
    if has_torch:
        system = config.system
        check_deploy_packages(system.deploy, system.profiling.variants)
    if is_checked or not has_torch:
        return _read_notes(checked)
    options = ["--job", job.to_json(), "--checked", str(checked)]
    process = subprocess.run(
        [sys.executable, "-m", "resomap.entry.check_networks", *options],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if process.returncode:
        # Downloads and warnings of libraries stand before it.
        before, _, message = f"\n{process.stderr.strip()}".partition("\nerror: ")
        raise ConfigError(message or before.strip())
    return _read_notes(checked)


def _read_checked(path: Path) -> Any:
    try:
        return read_json(path)["job"]
    except (OSError, DataError, LookupError, TypeError):  # none or a damaged one: check again
        return None


def _read_notes(path: Path) -> list[str]:
    try:
        return [f"note: {line}" for line in read_json(path)["notes"]]
    except (OSError, DataError, LookupError, TypeError):
        return []
