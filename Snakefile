# ResoMap: prepare -> resize -> train -> evaluate, profile, explain -> aggregate -> plot -> report
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.10")

# A checkout needs no installation. In a module, `workflow.basedir` is the folder of the caller.
sys.path.insert(0, str(workflow.current_basedir.get_path_or_uri(secret_free=True)))


report: "report/workflow.rst"


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
    input:
        targets.table_inputs(CONFIG),  # by name: else one that is deleted would stay away
        rules.report.input,
        targets.tracking_files(CONFIG),


onstart:
    driver.watch_cluster(workflow)
    notes = network_check.check_networks(
        CONFIG, file_in(RESULTS, "checked_networks")
    )
    lifecycle.write_run_config(VALUES, file_in(RESULTS, "run_config"))
    cores = workflow.resource_settings.cores or 1
    on_cluster = request.on_cluster()  # its queue decides how long it takes
    minutes = (
        None if on_cluster else forecast.estimate_minutes(CONFIG, cores, RESULTS)
    )
    start = lifecycle.start_message(CONFIG, minutes, cores)
    warnings = recipe_checks.recipe_warnings(CONFIG)
    print(start, *warnings, *notes, sep="\n", flush=True)
    lifecycle.start_job_server(workflow)
    if not IS_MODULE:  # else what is printed is the business of the caller
        progress.show_progress(CONFIG, workflow)


onsuccess:
    lifecycle.clean_up(RESULTS)
    if job_params.is_report_current(CONFIG, RESULTS):
        print(lifecycle.end_message(RESULTS), flush=True)
