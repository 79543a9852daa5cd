"""`resomap show`: which run is meant, and what is printed of it."""

import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from resomap.cli import app
from resomap.config.load import build_config, merge
from resomap.status.jobs import JobKey
from resomap.system.files import write_json, write_text
from resomap.workflow import jobs
from resomap.workflow.job_params import build_job
from resomap.workflow.snakemake_records import SNAKEMAKE_FOLDER, record_name
from tests.unit.status.conftest import TINY

RUN = "custom/tiny_cnn/r24/seed0"
FOLDER = f"results/runs/{RUN}"
EVALUATION = (
    "eval_resolution,mode,n,accuracy,balanced_accuracy,macro_f1,log_loss\n"
    "24,raw,200,0.875,0.87,0.86,0.41\n"
)
ENVIRONMENT = {
    "device": "NVIDIA H100",
    "processes": 2,
    "machine": "Linux x86_64",
    "execution": "eager",
    "torch": "2.15.0",
}


def show(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["show", *arguments])
    return result.exit_code, result.output


@pytest.fixture
def trained(config, defaults, traces) -> str:
    """A trained run and a second one, with the configuration of their sweep."""
    write_text(Path("results/run_config.yaml"), yaml.safe_dump(defaults))
    job = build_job(config, jobs.Train, **{k: str(v) for k, v in TINY._asdict().items()})
    scores = {"epoch": 6, "val_accuracy": 0.912, "val_loss": 0.25}
    for seed in (0, 1):
        traces.finish(
            "train",
            JobKey("custom", "tiny_cnn", 24, seed),
            seconds=41.0,
            job=job.model_dump(mode="json"),
            environment=ENVIRONMENT,
            scores=scores,
            optimizer_steps=400,
        )
    write_text(Path(FOLDER, "evaluation.csv"), EVALUATION)
    write_text(Path("logs/train", f"{RUN}.log"), "epoch 8/8: loss 1\n")
    record = {"starttime": 1.0, "endtime": 42.0, "shellcmd": "python -m resomap.entry.train"}
    write_json(SNAKEMAKE_FOLDER / "metadata" / record_name(f"{FOLDER}/metrics.json"), record)
    return FOLDER


def test_run_is_shown_with_recipe_scores_environment_and_files(trained):
    code, text = show(trained)
    assert code == 0
    assert text.startswith("tiny_cnn 24 px seed 0: trained, 400 steps of the optimizer; ")
    for words in (
        "training   8 epochs, batches of 32, fp32, start random\n",
        "changed    nothing else of config/training.yaml\n",
        "validation: accuracy 0.912, loss 0.250\n",
        "24 px       raw     0.875",
        "device     2 x NVIDIA H100\n",
        "versions   torch 2.15.0\n",
        "train 41 s",
        f"logs/train/{RUN}.log",
    ):
        assert words in text
    assert "stale" not in text


def test_commands_that_run_it_again_are_printed(trained):
    _, text = show(trained)
    line = f"snakemake --force {FOLDER}/metrics.json --configfile results/run_config.yaml"
    assert f"  {line}\n" in text
    assert shlex.split(line)[2] == f"{FOLDER}/metrics.json"
    assert show(trained, "--command") == (0, "python -m resomap.entry.train\n")


@pytest.mark.parametrize(
    "name",
    [
        f"{FOLDER}/",
        RUN,
        "tiny_cnn/r24/seed0",
        "tiny_cnn 24 px seed 0",
        "tiny_cnn@24 seed 0",
        "seed0",
    ],
)
def test_run_is_found_by_its_folder_a_part_or_its_words(trained, name):
    assert show(name)[1].startswith("tiny_cnn 24 px seed 0: ")


def test_run_of_another_directory_is_found_by_its_path(trained, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, text = show(f"{tmp_path}/{FOLDER}")
    assert code == 0
    assert f"--directory {tmp_path}" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny_cnn", "'tiny_cnn' is 2 runs: custom/tiny_cnn/r24/seed0, "),
        ("tiny_cn/r24", "'tiny_cn/r24' is no run in results/runs; the nearest are custom/tiny"),
        ("/nowhere/results/runs/x", "/nowhere/results/runs: no run is there; give the sweep's"),
    ],
)
def test_unknown_run_lists_the_nearest(trained, name, message):
    code, text = show(name)
    assert (code, text.count("\n")) == (1, 1)
    assert text.startswith(f"error: {message}")


def test_run_that_failed_shows_the_end_of_its_log(trained):
    write_text(Path("logs/train/custom/tiny_cnn/r48/seed0.log"), "error: too little memory\n")
    code, text = show("tiny_cnn/r48/seed0")
    assert code == 0
    assert "no result; its log ends with: error: too little memory\n" in text
    assert "snakemake --force results/runs/custom/tiny_cnn/r48/seed0/metrics.json" in text


def test_run_of_another_configuration_is_called_stale(trained, defaults):
    changed = merge(defaults, {"training": {"epochs": 9}})
    build_config(changed)
    write_text(Path("results/run_config.yaml"), yaml.safe_dump(changed))
    assert "\nstale: made under another configuration or code than" in show(trained)[1]
    other = merge(defaults, {"sweep": {"seeds": [5]}})
    write_text(Path("results/run_config.yaml"), yaml.safe_dump(other))
    assert "\nnot a part of the sweep of results/run_config.yaml\n" in show(trained)[1]
