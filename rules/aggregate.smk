# INPUTS   scores, logits and explanations of every run; profile and agreement of every model
# OUTPUTS  results/tables/*.csv                        tidy tables: one row per observation (docs/tables.md)
#          results/tables/{choice,environment}.json    the chosen model and resolution; the machines used


rule aggregate_tables:
    input:
        rules.evaluate.input,
        rules.profile.input,
        rules.explain.input,
        data="results/data/manifest.json",
    output:
        tables=expand("results/tables/{table}.csv", table=layout.TABLES),
        choice="results/tables/choice.json",
        environment="results/tables/environment.json",
    log:
        "logs/aggregate.log",
    conda:
        "../envs/report.yaml"
    resources:
        **request.cpu_job(minutes=60),
    params:
        job=job(jobs.Aggregate),
    shell:
        "python -m workflow_scripts.aggregate"
        " --job {params.job:q}"
        " --data {input.data:q}"
        " --runs results/runs"
        " --profiles results/profiles"
        " --agreement results/agreement"
        " --tables results/tables"
        " > {log:q} 2>&1"


rule tables:
    input:
        rules.aggregate_tables.output,
