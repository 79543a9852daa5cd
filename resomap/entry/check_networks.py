"""Build every network of the sweep without weights, before any image is read."""

from pathlib import Path

from resomap.entry.arguments import run_entry_point
from resomap.errors import ConfigError
from resomap.models.check import NetworkUse, inspect_networks
from resomap.models.regularisation import Regularisation
from resomap.system.files import write_json
from resomap.training.initial_weights import check_start
from resomap.workflow.jobs import CheckNetworks


def main(job: CheckNetworks, checked: Path) -> None:
    """Write the job and what is worth knowing to `checked`.

    ConfigError with a line for each network that does not fit.
    """
    use = NetworkUse(
        job.resolutions,
        job.images_per_pass,
        job.gradcam_layer,
        job.attribution_methods,
        Regularisation(job.dropout, job.drop_path),
    )
    findings = inspect_networks(job.models, use)
    start = check_start(
        job.start, job.models, min(job.resolutions), job.filter, freeze_bn=job.freeze_bn
    )
    problems = findings.problems + start.problems
    if problems:
        raise ConfigError("\n".join(problems))
    notes = findings.notes + start.warnings
    write_json(checked, {"job": job.model_dump(mode="json"), "notes": notes})


if __name__ == "__main__":
    run_entry_point(main)
