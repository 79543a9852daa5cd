"""Stages and files of the target `deploy`, which no sweep runs by itself."""

from resomap.workflow.artifacts import RUN_PATH, Artifact, Stage
from resomap.workflow.columns import (
    CROSS_CELL,
    INTERVAL,
    LATENCY_P50,
    LATENCY_P90,
    MODEL,
    N_IMAGES,
    SEEDS,
    VALID,
    Column,
    with_interval,
)

EXPORT_PATH = f"{RUN_PATH}/at{{eval_resolution}}"
EXPORT_FOLDER = f"results/deploy/{EXPORT_PATH}"
_PARITY_PATH = "{family}/{model}/r{resolution}/preprocessing/at{eval_resolution}"
_FIGURES = "results/figures/deploy"
DEPLOY = (
    *CROSS_CELL,
    Column("runtime", "", "onnxruntime or openvino"),
    Column("precision", "", "fp32, or int8 (quantised with training images)"),
    SEEDS,
    N_IMAGES,
    Column("deployable", "count", "runs with a network whose fp32 equals the one in PyTorch"),
    Column("flips", "count", "answers of all runs that are not those in PyTorch"),
    Column(
        "largest_difference", "ratio", "largest difference of a logit over the range of logits"
    ),
    Column("agreement", "0-1", "share of the answers that are those of the exported fp32"),
    Column("accuracy", "0-1", "mean test accuracy over the seeds"),
    *with_interval(Column("accuracy_lost", "0-1", "accuracy in fp32 less that of the row")),
    INTERVAL,
    Column("certified", "bool", "deployable, and shown to lose less than the margin"),
    Column("granularity", "", "scales of int8 weights, by run: per_channel or per_tensor"),
    Column("calibration_images", "count", "training images that int8 ranges are taken from"),
    Column("file_mib", "MiB", "size of the file, mean over the runs"),
    Column("failure", "", "why runs are not deployable, each reason once"),
)
DEVICE_COSTS = (
    Column("device", "", "name of its file of measurements"),
    *MODEL,
    Column("resolution", "px", "resolution of the images"),
    Column("variant", "", "runtime: onnxruntime or openvino"),
    Column("precision", "", "fp32, or int8 (quantised with training images)"),
    Column("threads", "count", "threads of the runtime"),
    Column("status", "", "ok, wrong answers or failed; only ok was measured"),
    VALID,
    Column("why_invalid", "", "what disturbed the rounds, or why there is no measurement"),
    Column("rounds", "count", "rounds of measuring"),
    *(LATENCY_P50, LATENCY_P90),
    Column("ratio_to_reference", "ratio", "latency over that of a fixed workload there"),
    Column("model_size_mib", "MiB", "size of the file"),
    Column("peak_memory_mib", "MiB", "peak memory of the process, Python included"),
    Column("profiled_variant", "", "how the machine that profiles the sweep ran it"),
    Column("profiled_precision", "", "its precision there"),
    Column("profiled_latency_ms_p50", "ms", "its median latency there"),
    Column("latency_ratio", "ratio", "latency on the device over that one"),
)
PREPROCESSING = (
    *CROSS_CELL,
    Column("precision", "", "precision of the exported network"),
    Column("preprocessing", "", "what runs in place of the preprocessing of the training"),
    Column("kind", "", "what differs; `same filter` and `decoder` mean to do the same"),
    Column("baseline", "", "what its answers are compared with"),
    *(SEEDS, N_IMAGES),
    Column("flipped", "0-1", "share of the answers that change"),
    *with_interval(Column("accuracy_lost", "0-1", "accuracy of the baseline less its own")),
    INTERVAL,
    Column("max_logit_difference", "", "largest difference of a logit"),
    Column("judged", "bool", "`system.deploy.max_flips` holds for it"),
    Column("skipped", "", "why nothing was measured"),
)

DEPLOY_STAGES = (
    Stage(
        "export",
        "export_run",
        f"logs/export/{EXPORT_PATH}.log",
        f"{EXPORT_FOLDER}/export.json",
    ),
    Stage("deploy", "compare_exports", "logs/deploy.log", "results/tables/deploy.csv"),
    Stage("devices", "compare_devices", "logs/devices.log", "results/tables/device_costs.csv"),
    Stage(
        "parity",
        "compare_preprocessing",
        f"logs/parity/{_PARITY_PATH}.log",
        f"results/deploy/{_PARITY_PATH}.csv",
    ),
    Stage(
        "preprocessing",
        "tabulate_preprocessing",
        "logs/preprocessing_parity.log",
        "results/tables/preprocessing_parity.csv",
    ),
    Stage(
        "limits", "check_preprocessing", "logs/deploy_limits.log", "results/deploy/limits.json"
    ),
)


def _figure(name: str, stage: str, contents: str) -> tuple[Artifact, ...]:
    """Return the three files of a figure: the drawing, its pixels, and its numbers."""
    path = f"{_FIGURES}/{name}"
    return (
        Artifact(f"{name}_svg", f"{path}.svg", stage, contents),
        Artifact(f"{name}_png", f"{path}.png", stage, f"{contents}, as pixels"),
        Artifact(f"{name}_data", f"{path}.csv", stage, f"{contents}, as numbers"),
    )


DEPLOY_ARTIFACTS = (
    Artifact("network", f"{EXPORT_FOLDER}/{{precision}}.onnx", "export", "exported network"),
    Artifact("export", f"{EXPORT_FOLDER}/export.json", "export", "versions and parity"),
    Artifact("export_logits", f"{EXPORT_FOLDER}/logits.npz", "export", "its logits"),
    Artifact(
        "deploy",
        "results/tables/deploy.csv",
        "deploy",
        "exported networks against those in PyTorch",
        DEPLOY,
    ),
    Artifact(
        "device_costs",
        "results/tables/device_costs.csv",
        "devices",
        "cost of exported networks on other devices, beside their profile",
        DEVICE_COSTS,
    ),
    *_figure("latency_by_device", "devices", "latency on every device"),
    Artifact(
        "cell_parity",
        f"results/deploy/{_PARITY_PATH}.csv",
        "parity",
        "other preprocessings of one exported cell",
        PREPROCESSING,
    ),
    Artifact(
        "preprocessing_parity",
        "results/tables/preprocessing_parity.csv",
        "preprocessing",
        "answers of exported cells after other preprocessings than that of the training",
        PREPROCESSING,
    ),
    *_figure("preprocessing_parity", "preprocessing", "answers that change"),
    Artifact("limits", "results/deploy/limits.json", "limits", "what max_flips was held to"),
)
