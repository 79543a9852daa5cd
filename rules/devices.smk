# INPUTS   measurements of other devices, records of the exported networks, profiles
# OUTPUTS  results/tables/device_costs.csv                           cost on other devices
#          results/figures/deploy/latency_by_device.{svg,png,csv}    and a figure of it
from resomap.report.catalogue import CATALOGUE

DEVICE_FIGURE = "results/figures/deploy/latency_by_device"


rule compare_devices:
    input:
        measurements=targets.measurement_files(CONFIG),
        records=job_params.export_inputs(CONFIG, f"{EXPORT}/export.json", RESULTS),
        profiles=targets.model_files(CONFIG, "results/profiles/{family}/{model}.json"),
    output:
        table="results/tables/device_costs.csv",
        figure=report(
            f"{DEVICE_FIGURE}.svg",
            caption="../report/latency_by_device.rst",
            category=CATALOGUE["latency_by_device"].category,
            labels={"figure": "latency by device"},
        ),
        others=expand(f"{DEVICE_FIGURE}.{{kind}}", kind=["png", "csv"]),
        receipt="results/receipts/devices.json",
    log:
        "logs/devices.log",
    conda:
        "../envs/report.yaml"
    resources:
        **request.cpu_job(minutes=30),
    params:
        job=job(jobs.CompareDevices),
    shell:
        "python -m workflow_scripts.compare_devices"
        " --job {params.job:q}"
        " --receipt {output.receipt:q}"
        f" --profiles {FOLDER}/profiles"
        " --table {output.table:q}"
        " --figure {output.figure:q}"
        " > {log:q} 2>&1"
