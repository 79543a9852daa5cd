# ResoMap: prepare -> resize -> train -> evaluate, profile, explain -> aggregate -> plot -> report
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.10")

sys.path.insert(0, str(workflow.basedir))


report: "report/workflow.rst"


# Used with `--sdm apptainer` only; built from envs/Containerfile.
container: f"{workflow.basedir}/resomap.sif"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/profile.smk"
include: "rules/explain.smk"
include: "rules/aggregate.smk"
include: "rules/plot.smk"
include: "rules/report.smk"
include: "rules/track.smk"
include: "rules/deploy.smk"


rule all:
    default_target: True
    input:
        targets.table_inputs(CONFIG),  # by name: else one that is deleted would stay away
        rules.report.input,
        targets.tracking_files(CONFIG),


onstart:
    driver.watch_cluster(workflow)
    notes = network_check.check_networks(CONFIG)
    lifecycle.write_run_config(VALUES)
    cores = workflow.resource_settings.cores or 1
    on_cluster = request.on_cluster()  # its queue decides how long it takes
    minutes = None if on_cluster else forecast.estimate_minutes(CONFIG, cores)
    start = lifecycle.start_message(CONFIG, minutes, cores)
    warnings = recipe_checks.recipe_warnings(CONFIG)
    print(start, *warnings, *notes, sep="\n", flush=True)
    progress.show_progress(CONFIG, workflow)


onsuccess:
    lifecycle.clear_finished_states()
    lifecycle.sweep_leftovers()
    if job_params.is_report_current(CONFIG):
        print(lifecycle.end_message(), flush=True)
