"""A sweep that was recorded in a folder, finished or not, and is read without being run again."""

from pathlib import Path
from typing import Any

from resomap.config.schema import Config
from resomap.workflow import jobs
from resomap.workflow.artifact_paths import receipt_path
from resomap.workflow.data_digest import data_settings
from resomap.workflow.layout import STAGE_OF
from resomap.workflow.receipts import digest_job, read_receipt
from resomap.workflow.sweep_results import JOB_TYPES, ResultState, SweepResults
from resomap.workflow.targets import swept_models


class RecordedSweep(SweepResults):
    """The results in `folder`, compared with the recipe of a recorded configuration.

    The code may have changed since, and the images of the user may be elsewhere: what was
    recorded is to be read, not made again.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        super().__init__(folder, _sweep_job(config))

    def state(self, stage: str, **wildcards: Any) -> ResultState:
        """Return whether the results of a job are those of the configuration."""
        key = {name: str(value) for name, value in wildcards.items()}
        receipt = read_receipt(receipt_path(self.folder, STAGE_OF[stage], key))
        # As everywhere, files without a receipt are not checked.
        if receipt is None or receipt.job.recipe == digest_job(self.job(stage, **key)).recipe:
            return "current"
        return "stale"


def _sweep_job(config: Config) -> jobs.SweepJob:
    """Return the job of the sweep; digests of code and of images are left blank."""
    explainability = config.explainability
    recipes = jobs.Recipes(
        data=data_settings(config),
        data_code="",
        listing="",
        training=config.training,
        evaluation=config.evaluation,
        explainability=explainability if explainability.enabled else None,
        profiling=config.system.profiling,
        device=config.system.device,
        codes=dict.fromkeys(JOB_TYPES, ""),
        own_codes={},
    )
    return jobs.SweepJob(
        code="",
        models=swept_models(config),
        resolutions=tuple(sorted(config.sweep.resolutions)),
        seeds=tuple(sorted(config.sweep.seeds)),
        recipes=recipes,
    )
