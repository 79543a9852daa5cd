# INPUTS   best.safetensors of a run, results/data/r{resolution}/test.npy, results/data/masks_test.npy
# OUTPUTS  results/runs/.../explanations/{method}.npz        signed maps at their own grid
#          results/runs/.../explanations/localisation.csv    one row a method and picture


rule explain_run:
    input:
        data=ancient("results/data/manifest.json"),
        images=ancient("results/data/r{resolution}/test.npy"),
        masks=ancient("results/data/masks_test.npy"),
        weights="results/checkpoints/{family}/{model}/r{resolution}/seed{seed}/best.safetensors",
    output:
        localisation="results/runs/{family}/{model}/r{resolution}/seed{seed}/explanations/localisation.csv",
        attributions=expand(
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/explanations/{method}.npz",
            method=METHODS,
            allow_missing=True,
        ),
    log:
        "logs/explain/{family}/{model}/r{resolution}/seed{seed}.log",
    priority: 30
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        job=job(jobs.Explain),
    shell:
        "python -m resomap.entry.explain"
        " --job {params.job:q}"
        " --data {input.data:q}"
        " --weights {input.weights:q}"
        " --localisation {output.localisation:q}"
        " --attributions {output.attributions:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"


rule explain:
    input:
        workflow_facts.explained(
            CONFIG,
            "results/runs/{family}/{model}/r{resolution}/seed{seed}/explanations/localisation.csv",
        ),
