"""The targets and options of Snakemake's command line."""

import json
import re

import pytest

RUN = "results/runs/custom/tiny_cnn/r24/seed0"


def test_file_target_runs_only_what_it_needs(checkout):
    run = checkout.snakemake(f"{RUN}/metrics.json", "--cores", "1")
    assert run.returncode == 0, run.stderr
    assert json.loads((checkout.path / RUN / "metrics.json").read_text())["status"] == "ok"
    assert not (checkout.path / "results/profiles").exists()
    assert not (checkout.path / "results/data/r16").exists()
    # The terminal has a line for the training; Snakemake's own messages are in its log.
    assert re.search(
        r"^tiny_cnn 24 px seed 0: 0\.\d{3}, \d+ s; 1 of 1 training$", run.stdout, re.M
    )
    (log,) = (checkout.path / ".snakemake/log").glob("*.log")
    assert "Finished jobid" in log.read_text()
    assert "Finished jobid" not in run.stderr


@pytest.mark.parametrize(
    "target", ["train", "evaluate", "profile", "explain", "tables", "figures", "report"]
)
def test_named_target_is_complete_after_a_sweep(finished, target):
    dry = finished.dry_run(target)
    assert "Nothing to be done" in dry.stdout + dry.stderr, dry.stdout + dry.stderr


def test_cores_and_gpus_are_accepted(finished):
    dry = finished.dry_run("--cores", "4", "--resources", "gpu=1")
    assert dry.returncode == 0
    assert "Nothing to be done" in dry.stdout + dry.stderr


def test_another_directory_is_another_experiment(checkout, tmp_path):
    other = tmp_path / "elsewhere"
    run = checkout.snakemake("results/data/r16/val.npy", "--directory", str(other))
    assert run.returncode == 0, run.stderr
    assert (other / "results/data/r16/val.npy").exists()
    assert not (checkout.path / "results").exists()


def test_end_names_report_and_headline(finished):
    headline = (finished.path / "results/report/headline.txt").read_text().strip()
    (finished.path / "results/report/index.html").unlink()
    run = finished.snakemake()
    assert f"Report: {finished.path}/results/report/index.html" in run.stdout
    assert headline in run.stdout


def test_start_shows_size_of_the_sweep(checkout):
    run = checkout.snakemake("results/data/manifest.json")
    assert "1 model x 2 resolutions x 1 seed = 2 trainings" in run.stdout + run.stderr


def test_merged_configuration_is_written(finished):
    assert "Smoke" in (finished.path / "results/run_config.yaml").read_text()


def test_snakemake_report_uses_one_label_per_result(finished):
    # With a second label that is not a full cross product with the first, Snakemake's page stays blank.
    rules = [path.read_text() for path in (finished.path / "rules").glob("*.smk")]
    labels = [block for text in rules for block in re.findall(r"labels=\{([^}]*)\}", text)]
    assert labels
    assert all(block.count(":") == 1 for block in labels)


def test_snakemake_report_has_the_figures(finished):
    run = finished.snakemake("--report", "out.html")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "accuracy_by_resolution" in (finished.path / "out.html").read_text()


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"sweep": {"resolution": [24]}}, "did you mean resolutions?"),
        ({"sweep": {"models": ["tiny_cn"]}}, "did you mean tiny_cnn?"),
        ({"sweep": {"models": ["hub/resnet18"]}}, "'hub/resnet18' is no builder"),
        ({"sweep": {"seeds": []}}, "sweep.seeds"),
        ({"sweep": {"seeds": [0, 0]}}, "listed more than once"),
        ({"training": {"optimizer": {"learning_rate": "1e-1"}}}, "YAML reads it as text"),
        ({"training": {"epochs": 0}}, "training.epochs"),
    ],
)
def test_wrong_config_stops_before_any_job(checkout, overlay, message):
    run = checkout.dry_run(overlay=overlay)
    output = (run.stdout + run.stderr).splitlines()
    of_snakemake = ("Config file", "Using workflow", "  File", "ConfigError in")
    ours = [line for line in output if not line.startswith(of_snakemake)]
    assert run.returncode != 0
    assert any(message in line for line in ours), output
    assert 1 <= len(ours) <= 3, output
    assert "Traceback" not in run.stdout + run.stderr
    assert not (checkout.path / "results").exists()
