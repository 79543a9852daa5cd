# INPUTS   best.safetensors of a run, the images at the test resolution
# OUTPUTS  results/deploy/.../at{eval_resolution}/{precision}.onnx   the network for a runtime
#          results/deploy/.../at{eval_resolution}/export.json        versions, parity, calibration
#          results/deploy/.../at{eval_resolution}/logits.npz         logits by precision
#          results/tables/deploy.csv                                 exports against PyTorch
#          results/tables/preprocessing_parity.csv    their answers after other preprocessings
#          results/figures/deploy/preprocessing_parity.*      its figure
#          results/deploy/limits.json                 written if they keep to max_flips
from resomap.report.catalogue import CATALOGUE

EXPORT = "results/deploy/{family}/{model}/r{resolution}/seed{seed}/at{eval_resolution}"
PARITY = "{family}/{model}/r{resolution}/preprocessing/at{eval_resolution}"
COMPARED = targets.compared_precision(CONFIG)


rule export_run:
    input:
        data=ancient("results/data/manifest.json"),
        images=ancient("results/data/r{eval_resolution}/test.npy"),
        weights="results/checkpoints/{family}/{model}/r{resolution}/seed{seed}/best.safetensors",
    output:
        networks=expand(
            f"{EXPORT}/{{precision}}.onnx", precision=PRECISIONS, allow_missing=True
        ),
        record=f"{EXPORT}/export.json",
        logits=f"{EXPORT}/logits.npz",
        receipt="results/receipts/export/{family}/{model}/r{resolution}/seed{seed}/at{eval_resolution}.json",
    log:
        "logs/export/{family}/{model}/r{resolution}/seed{seed}/at{eval_resolution}.log",
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **request.cpu_job(minutes=60),
    params:
        job=job(jobs.Export),
    shell:
        "python -m resomap.entry.export"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --weights {input.weights:q}"
        " --networks {output.networks:q}"
        " --record {output.record:q}"
        " --logits {output.logits:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"


rule compare_exports:
    input:
        records=job_params.export_inputs(CONFIG, f"{EXPORT}/export.json"),
        logits=job_params.export_inputs(CONFIG, f"{EXPORT}/logits.npz"),
    output:
        table="results/tables/deploy.csv",
        receipt="results/receipts/deploy.json",
    log:
        "logs/deploy.log",
    conda:
        "../envs/torch.yaml"
    resources:
        **request.cpu_job(minutes=30),
    params:
        job=job(jobs.CompareExports),
    shell:
        "python -m workflow_scripts.compare_exports"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --records {input.records:q}"
        " --table {output.table:q}"
        " > {log:q} 2>&1"


include: "devices.smk"


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
        parts=job_params.export_inputs(CONFIG, f"results/deploy/{PARITY}.csv"),
    output:
        table="results/tables/preprocessing_parity.csv",
        svg=report(
            "results/figures/deploy/preprocessing_parity.svg",
            caption="../report/preprocessing_parity.rst",
            category=CATALOGUE["preprocessing_parity"].category,
            labels={"figure": "preprocessing parity"},
        ),
        others=expand("results/figures/deploy/preprocessing_parity.{kind}", kind=["png", "csv"]),
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
        " --figures results/figures/deploy"
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


rule deploy:
    input:
        rules.compare_exports.output,
        targets.device_files(
            CONFIG,
            "results/tables/device_costs.csv",
            "results/figures/deploy/latency_by_device.svg",
        ),
        rules.tabulate_preprocessing.output,
        rules.check_preprocessing.output,
