# INPUTS   none: the reef is drawn
# OUTPUTS  results/data/manifest.json         what the store holds; written last
#          results/data/pictures.csv          one row a picture
#          results/data/{split}.npy           every picture once, at native resolution
#          results/data/r{resolution}/        one resize of every picture
#          results/data/identity.txt          names the data and the code that made it


# Training depends on this file and on no array: Snakemake does not look at the params of a job that stands below a running
# one, so behind `ancient()` alone a change of the data would leave old networks until the next invocation.
rule identify_data:
    output:
        identity="results/data/identity.txt",
    log:
        "logs/data/identity.log",
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        identity=workflow_facts.data_identity(CONFIG),
    shell:
        "echo {params.identity:q} > {output.identity:q} 2> {log:q}"


rule prepare_data:
    output:
        manifest="results/data/manifest.json",
        pictures="results/data/pictures.csv",
        images=expand("results/data/{split}.npy", split=["train", "val", "test"]),
        labels=expand("results/data/labels_{split}.npy", split=["train", "val", "test"]),
        masks="results/data/masks_test.npy",
    log:
        "logs/data/prepare.log",
    priority: 100
    conda:
        "../envs/torch.yaml"
    params:
        job=job(jobs.PrepareData),
    shell:
        "python -m resomap.entry.prepare_data"
        " --job {params.job:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule resize_data:
    input:
        data="results/data/manifest.json",
        images=ancient(
            expand("results/data/{split}.npy", split=["train", "val", "test"])
        ),
    output:
        images=expand(
            "results/data/r{resolution}/{split}.npy",
            split=["train", "val", "test"],
            allow_missing=True,
        ),
    log:
        "logs/data/r{resolution}.log",
    priority: 90
    conda:
        "../envs/torch.yaml"
    params:
        job=job(jobs.ResizeData),
    shell:
        "python -m resomap.entry.resize_data"
        " --job {params.job:q}"
        " --data {input.data:q}"
        " > {log:q} 2>&1"
