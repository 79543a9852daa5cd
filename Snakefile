# ResoMap: prepare -> resize -> train -> evaluate, profile, explain -> aggregate -> plot -> report
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.10")

sys.path.insert(0, str(workflow.basedir))


configfile: f"{workflow.basedir}/config/config.yaml"
configfile: f"{workflow.basedir}/config/sweep.yaml"
configfile: f"{workflow.basedir}/config/models.yaml"
configfile: f"{workflow.basedir}/config/data.yaml"
configfile: f"{workflow.basedir}/config/training.yaml"
configfile: f"{workflow.basedir}/config/explainability.yaml"
configfile: f"{workflow.basedir}/config/system.yaml"
configfile: f"{workflow.basedir}/config/mlflow.yaml"


report: "report/workflow.rst"


# Only with `--sdm apptainer`; made from envs/Containerfile.
container: f"{workflow.basedir}/resomap.sif"


include: "rules/common.smk"


rule all:
    default_target: True
    input:
        "results/report/index.html",
        targets.tracked(CONFIG),


include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/profile.smk"
include: "rules/explain.smk"
include: "rules/aggregate.smk"
include: "rules/plot.smk"
include: "rules/report.smk"
include: "rules/track.smk"


onstart:
    targets.write_run_config(config)
    print(targets.opening(CONFIG, here=not ask.on_cluster()), flush=True)


onsuccess:
    targets.clear_finished_states()
    print(targets.closing(), flush=True)
