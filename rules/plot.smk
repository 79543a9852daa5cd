# INPUTS   results/tables/*.csv; images and maps for the panels
# OUTPUTS  results/figures/*.{svg,png,csv}              each figure, and the numbers in it
#          results/figures/explanation_browser.json     what the report's explanation browser shows
from resomap.report.catalogue import CATALOGUE, figure_names

FIGURES = figure_names(CONFIG.data.dataset, CONFIG.explainability.enabled)


rule plot_figures:
    input:
        rules.aggregate_tables.output,
        rules.explain.input,
        targets.map_files(CONFIG),
        ancient(rules.prepare_data.output.images),
        ancient(
            expand(
                "results/data/r{resolution}/test.npy",
                resolution=CONFIG.sweep.resolutions,
            )
        ),
        sweep=job_params.sweep_file(CONFIG, "figures"),
    output:
        svg=[
            report(
                f"results/figures/{name}.svg",
                caption=f"../report/{name}.rst",
                category=CATALOGUE[name].category,
                labels={"figure": name.replace("_", " ")},
            )
            for name in FIGURES
        ],
        others=expand(
            "results/figures/{name}.{kind}", name=FIGURES, kind=["png", "csv"]
        ),
        browser="results/figures/explanation_browser.json",
        receipt="results/receipts/plot.json",
    log:
        "logs/plot.log",
    conda:
        "../envs/report.yaml"
    resources:
        **request.cpu_job(minutes=60),
    params:
        job=job(jobs.Plot),
    shell:
        "python -m workflow_scripts.plot"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        f" --tables {FOLDER}/tables"
        f" --data {FOLDER}/data"
        f" --runs {FOLDER}/runs"
        f" --figures {FOLDER}/figures"
        " > {log:q} 2>&1"


rule figures:
    input:
        rules.plot_figures.output,
        SWEEP_FILES[:2],
