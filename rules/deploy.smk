# INPUTS   best.safetensors of a run, the images at the test resolution
# OUTPUTS  results/deploy/.../at{eval_resolution}/{precision}.onnx   the network for a runtime
#          results/deploy/.../at{eval_resolution}/export.json        versions, parity, calibration
#          results/deploy/.../at{eval_resolution}/logits.npz         logits by precision
#          results/tables/deploy.csv                                 exports against PyTorch
EXPORT = "results/deploy/{family}/{model}/r{resolution}/seed{seed}/at{eval_resolution}"


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
        records=job_params.export_inputs(CONFIG, f"{EXPORT}/export.json", RESULTS),
        logits=job_params.export_inputs(CONFIG, f"{EXPORT}/logits.npz", RESULTS),
    output:
        table="results/tables/deploy.csv",
        receipt="results/receipts/deploy.json",
    log:
        "logs/deploy.log",
    conda:
        "../envs/report.yaml"
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
include: "preprocessing.smk"


rule deploy:
    input:
        rules.compare_exports.output,
        rules.tabulate_preprocessing.output,
        rules.check_preprocessing.output,
        targets.device_files(
            CONFIG,
            "results/tables/device_costs.csv",
            "results/figures/deploy/latency_by_device.svg",
        ),
