# INPUTS   results/runs/.../{metrics.json,history.csv,timing.json,evaluation.csv} of every run
#          the report, so that no job of the sweep waits for a server or fails with it
#          (ancient: the copy does not contain the report)
# OUTPUTS  results/tracking.json     the MLflow id of every run


rule track_runs:
    input:
        targets.run_files(
            CONFIG,
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/metrics.json",
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/history.csv",
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/timing.json",
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/evaluation.csv",
        ),
        ancient(rules.build_report.output),
    output:
        tracked="results/tracking.json",
    log:
        "logs/track.log",
    conda:
        "../envs/tracking.yaml"
    resources:
        **request.cpu_job(minutes=60),
        triggers=TRIGGERS,
    params:
        job=job(jobs.Track),
    shell:
        "python -m workflow_scripts.track"
        " --job {params.job:q}"
        " --triggers {resources.triggers:q}"
        f" --runs {FOLDER}/runs"
        " --tracked {output.tracked:q}"
        " > {log:q} 2>&1"


rule track:
    input:
        rules.track_runs.output,
