# What every rule shares: configuration, job parameter, resource requests, values of wildcards.
from resomap.cluster import driver, nodes
from resomap.config.load import build_config
from resomap.plan import forecast
from resomap.status import progress
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
from resomap.workflow.checks import network_check, recipe_checks

lifecycle.use_this_interpreter(str(workflow.basedir))
lifecycle.collect_garbage_rarely()

VALUES = command_line.read_values(
    workflow.config_settings.configfiles, workflow.config_settings.config
)
CONFIG = build_config(VALUES)
recipe_checks.check_decay_steps(CONFIG)
resources.share_gpus(CONFIG)
request = resources.ResourceRequests(
    CONFIG,
    on_cluster=lambda: workflow.non_local_exec or workflow.remote_exec,
    site_limits=lambda rule, gpus: nodes.site_limits(workflow, rule, gpus),
)
# How trainings run, not what they compute. A resource and no field of the job: Snakemake reruns a
# job when its params change, and not when its resources do.
RUNTIME = CONFIG.system.training.model_dump_json()
# For the message about results that a weakened trigger kept; known after the rules are read.
TRIGGERS = lambda wildcards: lifecycle.rerun_triggers(workflow.dag_settings)
MODELS = targets.swept_models(CONFIG)
PRECISIONS = targets.export_precisions(CONFIG)
METHODS = CONFIG.explainability.methods if CONFIG.explainability.enabled else ()
job = job_params.job_params(CONFIG)
# Targets of their own, because Snakemake makes no missing input of a file that exists.
SWEEP_FILES = [
    job_params.sweep_file(CONFIG, stage) for stage in ("tables", "figures", "report")
]


wildcard_constraints:
    family=targets.any_of(model.family for model in MODELS),
    model=targets.any_of(model.name for model in MODELS),
    resolution=targets.any_of(CONFIG.sweep.resolutions),
    eval_resolution=targets.any_of(CONFIG.sweep.resolutions),
    seed=targets.any_of(CONFIG.sweep.seeds),
