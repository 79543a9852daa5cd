# What every rule shares: the frozen configuration, the job parameter, and the values that wildcards may take.
from resomap import identity, jobs, scheduling
from resomap import workflow as workflow_facts
from resomap.config import build_config

workflow_facts.use_this_interpreter(str(workflow.basedir))
workflow_facts.collect_rarely()

CONFIG = build_config(config)
scheduling.share_gpus(CONFIG)
ask = scheduling.Requests(
    CONFIG, on_cluster=lambda: workflow.non_local_exec or workflow.remote_exec
)
# How trainings run, not what they compute: a resource and no part of the job, so that a change reruns nothing.
RUNTIME = CONFIG.system.training.model_dump_json()
MODELS = workflow_facts.swept_models(CONFIG)
METHODS = CONFIG.explainability.methods if CONFIG.explainability.enabled else ()
job = workflow_facts.job_params(CONFIG)


wildcard_constraints:
    family=workflow_facts.any_of(model.family for model in MODELS),
    model=workflow_facts.any_of(model.name for model in MODELS),
    resolution=workflow_facts.any_of(CONFIG.sweep.resolutions),
    seed=workflow_facts.any_of(CONFIG.sweep.seeds),
