# What every rule shares: configuration, job parameter, resource requests, values of wildcards.
from shlex import quote

from resomap.cluster import driver, nodes
from resomap.config.load import build_config
from resomap.plan import forecast
from resomap.status import progress
from resomap.system import workflow_files
from resomap.workflow import (
    command_line,
    data_digest,
    job_params,
    jobs,
    layout,
    lifecycle,
    resources,
    targets,
)
from resomap.workflow.artifact_paths import file_in
from resomap.workflow.checks import network_check, recipe_checks

lifecycle.use_this_interpreter(
    own_environment=bool(workflow.deployment_settings.deployment_method)
)
lifecycle.collect_garbage_rarely()

# Another workflow uses this one; known while the rules are read.
IS_MODULE = not workflow.modifier.is_main_snakefile()
VALUES = command_line.read_call(workflow, config)
CONFIG = build_config(VALUES)
# Below the `prefix:` where another workflow uses this one as a module. Snakemake puts it before the
# paths of inputs, outputs and logs; functions and commands need it from here.
RESULTS = command_line.results_folder(workflow)
FOLDER = quote(str(RESULTS))
recipe_checks.check_decay_steps(CONFIG)
lifecycle.show_report_of_idle_run(
    workflow, RESULTS, lambda: job_params.is_report_current(CONFIG, RESULTS)
)
resources.share_gpus(CONFIG)
request = resources.ResourceRequests(
    CONFIG,
    on_cluster=lambda: workflow.non_local_exec or workflow.remote_exec,
    site_limits=lambda rule, gpus: nodes.site_limits(workflow, rule, gpus),
    results=RESULTS,
)
# How trainings run, not what they compute. A resource and no field of the job: Snakemake reruns a
# job when its params change, and not when its resources do.
RUNTIME = CONFIG.system.training.model_dump_json()
# For the message about results that a weakened trigger kept; known after the rules are read.
TRIGGERS = lambda wildcards: lifecycle.rerun_triggers(workflow.dag_settings)
MODELS = targets.swept_models(CONFIG)
PRECISIONS = targets.export_precisions(CONFIG)
METHODS = CONFIG.explainability.methods if CONFIG.explainability.enabled else ()
job = job_params.job_params(CONFIG, RESULTS)
# Targets of their own, because Snakemake makes no missing input of a file that exists.
SWEEP_FILES = [
    job_params.sweep_file(CONFIG, stage) for stage in ("tables", "figures", "report")
]


# Used with `--sdm apptainer` only; built from envs/Containerfile.
container: str(workflow_files.container_image())


wildcard_constraints:
    family=targets.any_of(model.family for model in MODELS),
    model=targets.any_of(model.name for model in MODELS),
    resolution=targets.any_of(CONFIG.sweep.resolutions),
    eval_resolution=targets.any_of(CONFIG.sweep.resolutions),
    seed=targets.any_of(CONFIG.sweep.seeds),
