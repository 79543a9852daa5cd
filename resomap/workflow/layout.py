"""Every file of results/ and logs/, declared once: path, writer, columns; and the states of a job and a run.

Rules spell the same paths as literals, and a test holds both equal. Paths are relative to the
working directory of Snakemake.
"""

from pathlib import Path
from typing import Literal

from resomap.system.locks import read_lock_owner
from resomap.system.logs import last_line
from resomap.workflow import columns, predictions
from resomap.workflow.artifacts import RUN_FOLDER, RUN_PATH, Artifact, Stage
from resomap.workflow.columns import column_names
from resomap.workflow.deploy_layout import DEPLOY_ARTIFACTS, DEPLOY_STAGES

STATES_FOLDER = "results/.state"
WITHOUT_RECEIPT = ("identify", "sweep", "track")
"""Stages whose outputs no other job reads for their content."""
STAGES = (
    Stage("identify", "identify_data", "logs/data/identity.log", "results/data/identity.txt"),
    Stage("prepare", "prepare_data", "logs/data/prepare.log", "results/data/manifest.json"),
    Stage(
        "resize",
        "resize_data",
        "logs/data/r{resolution}.log",
        "results/data/r{resolution}/train.npy",
    ),
    Stage("train", "train_run", f"logs/train/{RUN_PATH}.log", f"{RUN_FOLDER}/metrics.json"),
    Stage(
        "evaluate",
        "evaluate_run",
        f"logs/evaluate/{RUN_PATH}.log",
        f"{RUN_FOLDER}/evaluation.csv",
    ),
    Stage(
        "explain",
        "explain_run",
        f"logs/explain/{RUN_PATH}.log",
        f"{RUN_FOLDER}/explanations/localisation.csv",
    ),
    Stage(
        "compare",
        "compare_explanations",
        "logs/compare/{family}/{model}.log",
        "results/agreement/{family}/{model}.csv",
    ),
    Stage(
        "profile",
        "profile_model",
        "logs/profile/{family}/{model}.log",
        "results/profiles/{family}/{model}.json",
    ),
    Stage(
        "summarise",
        "summarise_models",
        "logs/summarise.log",
        "results/model_summaries/{model}/r{resolution}/summary.json",
    ),
    Stage(
        "sweep",
        "identify_sweep",
        "logs/sweep/{stage}-{digest}.log",
        "results/sweep/{stage}-{digest}.txt",
        jobs_per_scope=3,
    ),
    Stage("tables", "aggregate_tables", "logs/aggregate.log", "results/tables/choice.json"),
    Stage(
        "figures", "plot_figures", "logs/plot.log", "results/figures/accuracy_by_resolution.svg"
    ),
    Stage("report", "build_report", "logs/report.log", "results/report/index.html"),
    Stage("track", "track_runs", "logs/track.log", "results/tracking.json"),
    *DEPLOY_STAGES,
)

TABLES = {
    "runs": (columns.RUNS, "every run of the sweep, scored at its training resolution"),
    "evaluation": (columns.EVALUATION, "every finished run at every resolution, in every mode"),
    "classes": (columns.CLASSES, "every class of every finished run"),
    **predictions.PREDICTION_TABLES,
    "profiles": (columns.PROFILES, "every measurement of cost"),
    "explanations": (columns.EXPLANATIONS, "localisation, averaged over the images of a run"),
    "cells": (columns.CELLS, "accuracy and latency of every model and resolution"),
    "groups": (columns.GROUPS, "accuracy inside the pairs of every group"),
    "matrix": (columns.MATRIX, "accuracy by training and test resolution, and mode"),
    "knees": (columns.KNEES, "where accuracy stops growing with resolution"),
    "stages": (columns.STAGES, "time of one image from its file to its logits"),
    "neighbours": (columns.NEIGHBOURS, "latency of neighbouring resolutions compared"),
    "cost": (columns.COST, "growth of latency and memory with resolution"),
    "energy": (columns.ENERGY, "energy per image and per correct prediction"),
    "agreement": (columns.AGREEMENT, "likeness of maps across resolutions and seeds"),
    "faithfulness": (columns.FAITHFULNESS, "deletion and insertion, averaged over images"),
    "sanity": (columns.SANITY, "the sanity check of every method"),
    "interventions": (columns.INTERVENTIONS, "answers after the rest is exchanged"),
    "alarms": (columns.ALARMS, "evidence off the object although accuracy holds"),
}
"""The tables of results/tables: columns and contents."""

_EXPLANATIONS = f"{RUN_FOLDER}/explanations"
ARTIFACTS = (
    Artifact("run_config", "results/run_config.yaml", "snakemake", "merged configuration"),
    Artifact("checked_networks", "results/checked_networks.json", "snakemake", "its networks"),
    Artifact("plan", "results/plan.json", "resomap plan", "estimated time, memory and cost"),
    Artifact("rounds", "results/rounds.json", "resomap run --until-settled", "its rounds"),
    Artifact("check", "results/check.html", "resomap check", "findings about the images"),
    Artifact("identity", "results/data/identity.txt", "identify", "digest of data and code"),
    Artifact("manifest", "results/data/manifest.json", "prepare", "contents of the store"),
    # Published file names stay as they are: notebooks of users read them.
    Artifact("images", "results/data/pictures.csv", "prepare", "every image", columns.IMAGES),
    Artifact(
        "bad_images",
        "results/data/bad_pictures.csv",
        "prepare",
        "files that cannot be read",
        columns.BAD_IMAGES,
    ),
    Artifact(
        "duplicates",
        "results/data/duplicates.csv",
        "prepare",
        "images with equal pixels",
        columns.DUPLICATES,
    ),
    Artifact("native", "results/data/native.npy", "prepare", "images at native resolution"),
    Artifact("labels", "results/data/labels_{split}.npy", "prepare", "class of each image"),
    Artifact("rows", "results/data/rows_{split}.npy", "prepare", "row of each image"),
    Artifact("masks", "results/data/masks_test.npy", "prepare", "masks of the test images"),
    Artifact(
        "spectrum", "results/data/spectrum.npy", "prepare", "spectral energy by frequency"
    ),
    Artifact("sheet", "results/data/contact_sheet.npz", "prepare", "sample of the images"),
    Artifact("resized", "results/data/r{resolution}/{split}.npy", "resize", "resized images"),
    Artifact(
        "weights",
        f"results/checkpoints/{RUN_PATH}/best.safetensors",
        "train",
        "weights of the best epoch",
    ),
    Artifact("metrics", f"{RUN_FOLDER}/metrics.json", "train", "job, scores, environment"),
    Artifact("history", f"{RUN_FOLDER}/history.csv", "train", "every epoch", columns.HISTORY),
    Artifact("timing", f"{RUN_FOLDER}/timing.json", "train", "time, rate and memory"),
    Artifact(
        "run_evaluation",
        f"{RUN_FOLDER}/evaluation.csv",
        "evaluate",
        "scores at every resolution, in every mode",
        columns.RUN_EVALUATION,
    ),
    Artifact("predictions", f"{RUN_FOLDER}/predictions.npz", "evaluate", "test logits"),
    Artifact(
        "val_predictions", f"{RUN_FOLDER}/val_predictions.npz", "evaluate", "validation logits"
    ),
    Artifact("attributions", f"{_EXPLANATIONS}/{{method}}.npz", "explain", "signed maps"),
    Artifact(
        "run_localisation",
        f"{_EXPLANATIONS}/localisation.csv",
        "explain",
        "every map against its mask",
        columns.RUN_LOCALISATION,
    ),
    Artifact(
        "run_faithfulness",
        f"{_EXPLANATIONS}/faithfulness.csv",
        "explain",
        "deletion and insertion of every image",
        columns.RUN_FAITHFULNESS,
    ),
    Artifact(
        "run_sanity",
        f"{_EXPLANATIONS}/sanity.csv",
        "explain",
        "every re-initialisation of the last layers",
        columns.RUN_SANITY,
    ),
    Artifact(
        "run_interventions",
        f"{_EXPLANATIONS}/interventions.csv",
        "explain",
        "answers to every changed image",
        columns.RUN_INTERVENTIONS,
    ),
    Artifact(
        "model_agreement",
        "results/agreement/{family}/{model}.csv",
        "compare",
        "likeness of the maps of one model",
        columns.AGREEMENT,
    ),
    Artifact("profile", "results/profiles/{family}/{model}.json", "profile", "cost of a model"),
    Artifact(
        "summary",
        "results/model_summaries/{model}/r{resolution}/summary.json",
        "summarise",
        "layers and totals",
    ),
    Artifact(
        "summary_text",
        "results/model_summaries/{model}/r{resolution}/summary.txt",
        "summarise",
        "layers and totals, to read",
    ),
    Artifact("sweep", "results/sweep/{stage}-{digest}.txt", "sweep", "digest of the job"),
    *(
        Artifact(name, f"results/tables/{name}.csv", "tables", contents, table)
        for name, (table, contents) in TABLES.items()
    ),
    Artifact("choice", "results/tables/choice.json", "tables", "chosen cell and its rivals"),
    Artifact(
        "answer", "results/tables/answer.json", "tables", "what the page decides anew from"
    ),
    Artifact(
        "environment", "results/tables/environment.json", "tables", "machines and versions"
    ),
    Artifact("figure", "results/figures/{figure}.svg", "figures", "figure"),
    Artifact("figure_png", "results/figures/{figure}.png", "figures", "figure, as pixels"),
    Artifact("figure_data", "results/figures/{figure}.csv", "figures", "numbers of the figure"),
    Artifact(
        "explanation_browser",
        "results/figures/explanation_browser.json",
        "figures",
        "images, maps and predictions that the report lets a reader browse",
    ),
    Artifact("report", "results/report/index.html", "report", "the report"),
    Artifact("headline", "results/report/headline.txt", "report", "its first sentence"),
    Artifact("partial", "results/partial/index.html", "partial_report", "report so far"),
    *DEPLOY_ARTIFACTS,
    Artifact("tracking", "results/tracking.json", "track", "MLflow id of every run"),
    *(
        Artifact(f"{stage.name}_receipt", stage.receipt, stage.name, "digests of its files")
        for stage in STAGES
        if stage.name not in WITHOUT_RECEIPT
    ),
)
_ARTIFACT_OF = {artifact.name: artifact for artifact in ARTIFACTS}
STAGE_OF = {stage.name: stage for stage in STAGES}


def artifact(name: str) -> Artifact:
    """Return the artifact called `name`."""
    return _ARTIFACT_OF[name]


def table_columns(name: str) -> tuple[str, ...]:
    """Return the column names of the table `name`, in the order in which they are written."""
    return column_names(_ARTIFACT_OF[name].columns)


JobState = Literal["done", "stale", "running", "queued", "failed", "interrupted", "waiting"]
RunStatus = Literal["ok", "diverged", "infeasible", "stale", "training", "failed", "waiting"]
ENDED: tuple[RunStatus, ...] = ("ok", "diverged", "infeasible")
"""How a training ends by itself; the last two are results, too."""


def find_state(
    output: Path,
    log: Path | None = None,
    lock: Path | None = None,
    *,
    submitted: bool = False,
    snakemake_runs: bool = False,
) -> JobState:
    """Return the state of the job that makes `output`, from the files that it and Snakemake leave.

    `lock` is held while a training runs; `submitted` jobs have begun and not ended for Snakemake.
    """
    # A training outlives Snakemake when that is killed, so the lock counts before Snakemake's marks.
    if lock is not None and read_lock_owner(lock) is not None:
        return "running"
    # Snakemake marks a job when it submits it, and after a SIGKILL the mark stays.
    if submitted:
        if not snakemake_runs:
            return "interrupted"
        # In the queue of a cluster a job has no log yet.
        return "running" if log is not None and log.exists() else "queued"
    if output.exists():
        return "done"
    if log is not None and log.exists():
        return "interrupted" if last_line(log).startswith("stopped by ") else "failed"
    # A lock file without a holder is left by a training that was killed.
    return "failed" if lock is not None and lock.exists() else "waiting"


def state_folder(run_folder: Path) -> Path:
    """Return the folder in which the training of `run_folder` keeps its state for the case of a kill."""
    # No declared output: Snakemake deletes these before each try.
    results, run = run_folder.parents[4], Path(*run_folder.parts[-4:])
    return results / Path(STATES_FOLDER).name / "train" / run
