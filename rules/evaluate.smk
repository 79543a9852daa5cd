# INPUTS   best.safetensors of a run, results/data/r{resolution}/*.npy of every resolution
# OUTPUTS  results/runs/.../evaluation.csv                          scores at every resolution and mode
#          results/runs/.../{predictions,val_predictions}.npz       logits of the test and validation images


rule evaluate_run:
    input:
        data=ancient("results/data/manifest.json"),
        images=ancient(
            expand(
                "results/data/r{resolution}/{split}.npy",
                resolution=CONFIG.sweep.resolutions,
                split=["train", "val", "test"],
            )
        ),
        weights="results/checkpoints/{family}/{model}/r{resolution}/seed{seed}/best.safetensors",
    output:
        evaluation="results/runs/{family}/{model}/r{resolution}/seed{seed}/evaluation.csv",
        predictions="results/runs/{family}/{model}/r{resolution}/seed{seed}/predictions.npz",
        val_predictions="results/runs/{family}/{model}/r{resolution}/seed{seed}/val_predictions.npz",
        receipt="results/receipts/evaluate/{family}/{model}/r{resolution}/seed{seed}.json",
    log:
        "logs/evaluate/{family}/{model}/r{resolution}/seed{seed}.log",
    priority: 40
    group:
        request.small_group("evaluate")
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **request.gpu_job("evaluate"),
    params:
        job=job(jobs.Evaluate),
    shell:
        "python -m resomap.entry.evaluate"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --weights {input.weights:q}"
        " --evaluation {output.evaluation:q}"
        " --predictions {output.predictions:q}"
        " --val-predictions {output.val_predictions:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"


rule evaluate:
    input:
        targets.run_files(
            CONFIG,
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/evaluation.csv",
        ),
