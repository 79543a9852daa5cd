# INPUTS   the user's files, which Snakemake does not see: their listing is a param, and so is all else that names the data
# OUTPUTS  results/data/manifest.json         what the store holds; written last
#          results/data/*.csv                 one row a picture; those that cannot be read; copies
#          results/data/native.npy            every picture once, at native resolution
#          results/data/r{resolution}/        one resize of every picture
#          results/data/identity.txt          names the data and the code that made it
# STATE    results/data/.partial, results/data/r{resolution}/.partial: what a killed job had reached; gone after success


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
        identity=data_digest.data_identity(CONFIG),
    shell:
        "echo {params.identity:q} > {output.identity:q} 2> {log:q}"


rule prepare_data:
    output:
        manifest="results/data/manifest.json",
        tables=expand(
            "results/data/{table}.csv",
            table=["pictures", "bad_pictures", "duplicates"],
        ),
        images="results/data/native.npy",
        splits=expand(
            "results/data/{what}_{split}.npy",
            what=["labels", "rows"],
            split=["train", "val", "test"],
        ),
        masks="results/data/masks_test.npy",
        spectrum="results/data/spectrum.npy",
        sheet="results/data/contact_sheet.npz",
    log:
        "logs/data/prepare.log",
    priority: 100
    conda:
        "../envs/torch.yaml"
    threads: data_digest.EVERY_CORE
    resources:
        **ask.plain(minutes=240),
        machine=data_digest.provision(CONFIG),
    params:
        job=job(jobs.PrepareData),
    shell:
        "python -m resomap.entry.prepare_data"
        " --job {params.job:q}"
        " --manifest {output.manifest:q}"
        " --provision {resources.machine:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"


rule resize_data:
    input:
        data="results/data/manifest.json",
        images=ancient("results/data/native.npy"),
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
    threads: data_digest.resize_threads(CONFIG)
    resources:
        **ask.plain(minutes=60),
    params:
        job=job(jobs.ResizeData),
    shell:
        "python -m resomap.entry.resize_data"
        " --job {params.job:q}"
        " --data {input.data:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"
