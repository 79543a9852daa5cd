# INPUTS   results/tables/, results/figures/
# OUTPUTS  results/report/index.html     one self-contained file
#          results/report/headline.txt   its first sentence
#          results/partial/              the same from the results so far; no declared output, so that
#                                        it can be made beside a running sweep


rule build_report:
    input:
        rules.aggregate_tables.output,
        rules.plot_figures.output,
        sweep=job_params.sweep_file(CONFIG, "report"),
        data="results/data/manifest.json",
    output:
        report=report(
            "results/report/index.html",
            category="0. Report",
            labels={"figure": "the whole report"},
        ),
        headline="results/report/headline.txt",
        receipt="results/receipts/report.json",
    log:
        "logs/report.log",
    conda:
        "../envs/report.yaml"
    resources:
        **request.cpu_job(minutes=30),
    params:
        job=job(jobs.BuildReport),
    shell:
        "python -m workflow_scripts.report"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        f" --tables {FOLDER}/tables"
        f" --figures {FOLDER}/figures"
        " --report {output.report:q}"
        " --headline {output.headline:q}"
        " > {log:q} 2>&1"


# Tables and figures by name: a report newer than the runs would be enough for Snakemake.
rule report:
    input:
        rules.aggregate_tables.output,
        rules.plot_figures.output,
        rules.build_report.output,
        SWEEP_FILES,


rule partial_report:
    log:
        "logs/partial_report.log",
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        job=job(jobs.PartialReport),
    shell:
        "python -m workflow_scripts.partial_report"
        " --job {params.job:q}"
        f" --results {FOLDER}"
        f" --partial {FOLDER}/partial"
        " 2> {log:q}"
