# INPUTS   the user's files, unknown to Snakemake: the digest of their list is a param
# OUTPUTS  results/data/manifest.json         contents of the store; written last
#          results/data/*.csv                 one row per image; files that cannot be read; duplicates
#          results/data/native.npy            every image once, at native resolution
#          results/data/r{resolution}/        every image at one resolution
#          results/data/identity.txt          digest of the data and of the code that prepares it
# STATE    results/data/.partial, results/data/r{resolution}/.partial: progress of a killed job,
#          removed after success


# Training depends on this file, and on the arrays only through `ancient()`. Snakemake does not check
# the params of a job downstream of one that will run, so without this file changed data would
# retrain nothing until the next invocation.
rule identify_data:
    output:
        identity="results/data/identity.txt",
    log:
        "logs/data/identity.log",
    localrule: True
    conda:
        "../envs/torch.yaml"
    params:
        identity=data_digest.digest_data(CONFIG),
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
        receipt="results/receipts/data/prepare.json",
    log:
        "logs/data/prepare.log",
    priority: 100
    conda:
        "../envs/torch.yaml"
    threads: request.cores(resources.ALL_CORES)
    resources:
        **request.cpu_job(minutes=240),
        machine=data_digest.prepare_options_json(CONFIG),
    params:
        job=job(jobs.PrepareData),
    shell:
        "python -m resomap.entry.prepare_data"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --manifest {output.manifest:q}"
        " --options {resources.machine:q}"
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
        receipt="results/receipts/data/r{resolution}.json",
    log:
        "logs/data/r{resolution}.log",
    priority: 90
    conda:
        "../envs/torch.yaml"
    threads: request.cores(resources.resize_threads(CONFIG))
    resources:
        **request.cpu_job(minutes=60),
    params:
        job=job(jobs.ResizeData),
    shell:
        "python -m resomap.entry.resize_data"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --threads {threads}"
        " > {log:q} 2>&1"
