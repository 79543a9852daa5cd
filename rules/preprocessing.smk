# INPUTS   exported networks, the images at native resolution
# OUTPUTS  results/{deploy/.../preprocessing,tables}/*.csv, results/figures/deploy/*: other preprocessings
#          results/deploy/limits.json: they keep to max_flips
from resomap.report.catalogue import CATALOGUE

PARITY = "{family}/{model}/r{resolution}/preprocessing/at{eval_resolution}"
COMPARED = targets.compared_precision(CONFIG)


rule compare_preprocessing:
    input:
        ancient("results/data/native.npy"),
        data=ancient("results/data/manifest.json"),
        weights=expand(
            "results/checkpoints/{family}/{model}/r{resolution}/seed{seed}/best.safetensors",
            seed=CONFIG.sweep.seeds,
            allow_missing=True,
        ),
        networks=expand(
            f"{EXPORT}/{COMPARED}.onnx", seed=CONFIG.sweep.seeds, allow_missing=True
        ),
    output:
        table=f"results/deploy/{PARITY}.csv",
        receipt=f"results/receipts/parity/{PARITY}.json",
    log:
        f"logs/parity/{PARITY}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **request.cpu_job(minutes=120),
    params:
        job=job(jobs.ComparePreprocessing),
    shell:
        "python -m resomap.entry.compare_preprocessing"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --weights {input.weights:q}"
        " --networks {input.networks:q}"
        " --table {output.table:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"


rule tabulate_preprocessing:
    input:
        parts=job_params.export_inputs(CONFIG, f"results/deploy/{PARITY}.csv", RESULTS),
    output:
        table="results/tables/preprocessing_parity.csv",
        svg=report(
            "results/figures/deploy/preprocessing_parity.svg",
            caption="../report/preprocessing_parity.rst",
            category=CATALOGUE["preprocessing_parity"].category,
            labels={"figure": "preprocessing parity"},
        ),
        png="results/figures/deploy/preprocessing_parity.png",
        data="results/figures/deploy/preprocessing_parity.csv",
        receipt="results/receipts/preprocessing_parity.json",
    log:
        "logs/preprocessing_parity.log",
    conda:
        "../envs/report.yaml"
    resources:
        **request.cpu_job(minutes=30),
    params:
        job=job(jobs.TabulatePreprocessing),
    shell:
        "python -m workflow_scripts.tabulate_preprocessing"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --parts {input.parts:q}"
        " --table {output.table:q}"
        f" --figures {FOLDER}/figures/deploy"
        " > {log:q} 2>&1"


# A rule of its own: Snakemake deletes the outputs of a job that fails, and the table and the
# figure are what a user needs then.
rule check_preprocessing:
    input:
        table=rules.tabulate_preprocessing.output.table,
    output:
        record="results/deploy/limits.json",
        receipt="results/receipts/deploy_limits.json",
    log:
        "logs/deploy_limits.log",
    conda:
        "../envs/report.yaml"
    resources:
        **request.cpu_job(minutes=10),
    params:
        job=job(jobs.CheckPreprocessing),
    shell:
        "python -m workflow_scripts.check_preprocessing"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --table {input.table:q}"
        " --record {output.record:q}"
        " > {log:q} 2>&1"
