# INPUTS   results/data/manifest.json    for the number of classes and an image to encode;
#          no weights, since cost does not depend on them
# OUTPUTS  results/profiles/{family}/{model}.json    all resolutions of a model, interleaved in one job
#          results/model_summaries/{model}/r{resolution}/summary.{txt,json}    layers of every model


rule profile_model:
    input:
        data="results/data/manifest.json",
    output:
        profile="results/profiles/{family}/{model}.json",
        receipt="results/receipts/profile/{family}/{model}.json",
    log:
        "logs/profile/{family}/{model}.log",
    conda:
        "../envs/torch.yaml"
    threads: request.cores(resources.ALL_CORES)  # no other job runs beside a measurement
    resources:
        **request.exclusive_job(),
    params:
        job=job(jobs.Profile),
    shell:
        "python -m resomap.entry.profile"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --profile {output.profile:q}"
        " > {log:q} 2>&1"


rule summarise_models:
    input:
        data="results/data/manifest.json",
    output:
        texts=targets.cell_files(
            CONFIG, "results/model_summaries/{model}/r{resolution}/summary.txt"
        ),
        records=targets.cell_files(
            CONFIG, "results/model_summaries/{model}/r{resolution}/summary.json"
        ),
        receipt="results/receipts/summarise.json",
    log:
        "logs/summarise.log",
    conda:
        "../envs/torch.yaml"
    resources:
        **request.cpu_job(minutes=30),
    params:
        job=job(jobs.Summarise),
    shell:
        "python -m resomap.entry.summarise"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        " --data {input.data:q}"
        " --summaries {output.texts:q}"
        " > {log:q} 2>&1"


rule profile:
    input:
        rules.summarise_models.output,
        targets.model_files(CONFIG, "results/profiles/{family}/{model}.json"),
