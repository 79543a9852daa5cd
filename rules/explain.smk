# INPUTS   best.safetensors of a run, results/data/r{resolution}/test.npy, results/data/masks_test.npy
# OUTPUTS  results/runs/.../explanations/{method}.npz         signed maps on their own grid
#          results/runs/.../explanations/localisation.csv     maps against masks: one row per method and image
#          results/runs/.../explanations/faithfulness.csv     deletion and insertion with a blurred fill
#          results/runs/.../explanations/sanity.csv           maps after re-initialising the last layers
#          results/runs/.../explanations/interventions.csv    answers after all but the object is exchanged
#          results/agreement/{family}/{model}.csv             maps across resolutions and seeds
EXPLANATIONS = "results/runs/{family}/{model}/r{resolution}/seed{seed}/explanations"
AGREEMENT = "results/agreement/{family}/{model}.csv"


rule explain_run:
    input:
        data=ancient("results/data/manifest.json"),
        images=ancient("results/data/r{resolution}/test.npy"),
        masks=ancient("results/data/masks_test.npy"),
        weights="results/checkpoints/{family}/{model}/r{resolution}/seed{seed}/best.safetensors",
    output:
        localisation=f"{EXPLANATIONS}/localisation.csv",
        faithfulness=f"{EXPLANATIONS}/faithfulness.csv",
        sanity=f"{EXPLANATIONS}/sanity.csv",
        interventions=f"{EXPLANATIONS}/interventions.csv",
        attributions=expand(
            f"{EXPLANATIONS}/{{method}}.npz", method=METHODS, allow_missing=True
        ),
        receipt="results/receipts/explain/{family}/{model}/r{resolution}/seed{seed}.json",
    log:
        "logs/explain/{family}/{model}/r{resolution}/seed{seed}.log",
    priority: 30
    group:
        request.small_group("explain")
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        **request.gpu_job("explain"),
    params:
        job=job(jobs.Explain),
    shell:
        "python -m resomap.entry.explain"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --weights {input.weights:q}"
        " --localisation {output.localisation:q}"
        " --faithfulness {output.faithfulness:q}"
        " --sanity {output.sanity:q}"
        " --interventions {output.interventions:q}"
        " --attributions {output.attributions:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"


rule compare_explanations:
    input:
        targets.runs_of_model(
            CONFIG,
            f"{EXPLANATIONS}/localisation.csv",
            *(f"{EXPLANATIONS}/{method}.npz" for method in METHODS),
        ),
        targets.run_files(
            CONFIG,
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/predictions.npz",
        ),
        ancient(
            expand(
                "results/data/r{resolution}/test.npy",
                resolution=CONFIG.sweep.resolutions,
            )
        ),
        data=ancient("results/data/manifest.json"),
    output:
        agreement=AGREEMENT,
        receipt="results/receipts/compare/{family}/{model}.json",
    log:
        "logs/compare/{family}/{model}.log",
    conda:
        "../envs/torch.yaml"
    resources:
        **request.cpu_job(minutes=60),
    params:
        job=job(jobs.CompareExplanations),
    shell:
        "python -m resomap.entry.compare_explanations"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        f" --runs {FOLDER}/runs"
        " --agreement {output.agreement:q}"
        " > {log:q} 2>&1"


rule explain:
    input:
        targets.explanation_files(CONFIG, f"{EXPLANATIONS}/localisation.csv", AGREEMENT),
