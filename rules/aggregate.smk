# INPUTS   scores, logits and explanations of every run; profile and agreement of every model
# OUTPUTS  results/tables/*.csv                        tidy tables: one row per observation (docs/tables.md)
#          results/tables/choice.json                  the chosen model and resolution
#          results/tables/{answer,environment}.json    what the page decides from; the machines used


# Its name follows from the configuration and the code behind a set of results. So the tables,
# figures and report notice a change from files alone, also where `--rerun-triggers mtime` hides
# changed params.
rule identify_sweep:
    output:
        "results/sweep/{stage}-{digest}.txt",
    log:
        "logs/sweep/{stage}-{digest}.log",
    wildcard_constraints:
        stage="tables|figures|report",
        digest="[0-9a-f]+",
    localrule: True
    conda:
        "../envs/report.yaml"
    shell:
        f"rm -f {FOLDER}/sweep/{{wildcards.stage}}-*.txt &&"
        " echo {wildcards.digest} > {output:q} 2> {log:q}"


rule aggregate_tables:
    input:
        rules.evaluate.input,
        rules.profile.input,
        rules.explain.input,
        targets.table_inputs(CONFIG),
        "results/receipts/data/prepare.json",
        data="results/data/manifest.json",
        sweep=job_params.sweep_file(CONFIG, "tables"),
    output:
        tables=expand("results/tables/{table}.csv", table=layout.TABLES),
        choice="results/tables/choice.json",
        answer="results/tables/answer.json",
        environment="results/tables/environment.json",
        receipt="results/receipts/aggregate.json",
    log:
        "logs/aggregate.log",
    conda:
        "../envs/report.yaml"
    resources:
        **request.cpu_job(minutes=60),
        triggers=TRIGGERS,
    params:
        job=job(jobs.Aggregate),
    shell:
        "python -m workflow_scripts.aggregate"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --triggers {resources.triggers:q}"
        " --data {input.data:q}"
        f" --runs {FOLDER}/runs"
        f" --profiles {FOLDER}/profiles"
        f" --agreement {FOLDER}/agreement"
        f" --tables {FOLDER}/tables"
        " > {log:q} 2>&1"


rule tables:
    input:
        rules.aggregate_tables.output,
        SWEEP_FILES[0],
