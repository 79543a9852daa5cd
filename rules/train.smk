# INPUTS   the file of weights that trainings start from, if one is named
#          results/data/native.npy, if crops are cut from native images
#          results/data/manifest.json, results/data/r{resolution}/{train,val}.npy
#          (ancient: identity.txt stands for them, so that an identical rebuild retrains nothing)
# OUTPUTS  results/checkpoints/{family}/{model}/r{resolution}/seed{seed}/best.safetensors
#          results/runs/{family}/{model}/r{resolution}/seed{seed}/{metrics.json,history.csv,timing.json}
# REQUESTS minutes and memory of results/plan.json (`resomap plan`), else generous defaults;
#          a new plan reruns nothing
# STATE    results/.state/train/...: undeclared, as Snakemake deletes declared outputs before each
#          try; removed after success


rule train_run:
    input:
        start=local(targets.start_files(CONFIG)),
        identity="results/data/identity.txt",
        data=ancient("results/data/manifest.json"),
        native=ancient(targets.native_files(CONFIG)),
        images=ancient(
            expand(
                "results/data/r{resolution}/{split}.npy",
                split=["train", "val"],
                allow_missing=True,
            )
        ),
    output:
        weights="results/checkpoints/{family}/{model}/r{resolution}/seed{seed}/best.safetensors",
        metrics="results/runs/{family}/{model}/r{resolution}/seed{seed}/metrics.json",
        history="results/runs/{family}/{model}/r{resolution}/seed{seed}/history.csv",
        timing="results/runs/{family}/{model}/r{resolution}/seed{seed}/timing.json",
        receipt="results/receipts/train/{family}/{model}/r{resolution}/seed{seed}.json",
    log:
        "logs/train/{family}/{model}/r{resolution}/seed{seed}.log",
    priority: 50
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **request.training_job(),
        machine=RUNTIME,
    params:
        job=job(jobs.Train),
    shell:
        "python -m resomap.entry.train"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --weights {output.weights:q}"
        " --metrics {output.metrics:q}"
        " --history {output.history:q}"
        " --timing {output.timing:q}"
        f" --state {FOLDER}/.state/train/{{wildcards.family}}/{{wildcards.model}}/r{{wildcards.resolution}}/seed{{wildcards.seed}}"
        " --runtime {resources.machine:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"


rule train:
    input:
        targets.run_files(
            CONFIG,
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/metrics.json",
        ),
