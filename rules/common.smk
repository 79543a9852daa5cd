# What every rule shares: the frozen configuration, the job parameter, and the values that wildcards may take.
from resomap.config.load import build_config
from resomap.workflow import data_digest, jobs, layout, resources, targets

targets.use_this_interpreter(str(workflow.basedir))
targets.collect_rarely()

CONFIG = build_config(config)
resources.share_gpus(CONFIG)
ask = resources.Requests(
    CONFIG, on_cluster=lambda: workflow.non_local_exec or workflow.remote_exec
)
# How trainings run, not what they compute: a resource and no part of the job, so that a change reruns nothing.
RUNTIME = CONFIG.system.training.model_dump_json()
MODELS = targets.swept_models(CONFIG)
METHODS = CONFIG.explainability.methods if CONFIG.explainability.enabled else ()
job = targets.job_params(CONFIG)


wildcard_constraints:
    family=targets.any_of(model.family for model in MODELS),
    model=targets.any_of(model.name for model in MODELS),
    resolution=targets.any_of(CONFIG.sweep.resolutions),
    seed=targets.any_of(CONFIG.sweep.seeds),
