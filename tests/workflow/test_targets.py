"""How people call Snakemake."""

import json
import re

import pytest

RUN = "results/runs/custom/tiny_cnn/r24/seed0"


def test_one_target_runs_what_it_needs_and_no_more(checkout):
    run = checkout.snakemake(f"{RUN}/metrics.json", "--cores", "1")
    assert run.returncode == 0, run.stderr
    assert json.loads((checkout.path / RUN / "metrics.json").read_text())["status"] == "ok"
    assert not (checkout.path / "results/profiles").exists()
    assert not (checkout.path / "results/data/r16").exists()


@pytest.mark.parametrize(
    "target", ["train", "evaluate", "profile", "explain", "tables", "figures", "report"]
)
def test_a_named_target_is_complete_after_a_whole_sweep(finished, target):
    dry = finished.snakemake("-n", target)
    assert "Nothing to be done" in dry.stdout + dry.stderr, dry.stdout + dry.stderr


def test_cores_and_gpus_may_be_given(finished):
    dry = finished.snakemake("-n", "--cores", "4", "--resources", "gpu=1")
    assert dry.returncode == 0
    assert "Nothing to be done" in dry.stdout + dry.stderr


def test_another_directory_is_another_experiment(checkout, tmp_path):
    run = checkout.snakemake(
        "results/data/r16/val.npy", "--directory", str(tmp_path / "elsewhere")
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "elsewhere/results/data/r16/val.npy").exists()
    assert not (checkout.path / "results").exists()


def test_the_end_names_the_report_and_says_its_first_sentence(finished):
    headline = (finished.path / "results/report/headline.txt").read_text().strip()
    (finished.path / "results/report/index.html").unlink()
    run = finished.snakemake()
    assert f"Report: {finished.path}/results/report/index.html" in run.stdout
    assert headline in run.stdout


def test_the_start_says_how_much_work_lies_ahead(checkout):
    run = checkout.snakemake("results/data/manifest.json")
    assert "1 model x 2 resolutions x 1 seed = 2 trainings" in run.stdout + run.stderr


def test_the_merged_configuration_is_kept(finished):
    assert "Smoke" in (finished.path / "results/run_config.yaml").read_text()


def test_a_result_in_snakemakes_report_has_one_label(finished):
    """With a second label of two values, half and half, without a full cross product, its page goes blank."""
    rules = [path.read_text() for path in (finished.path / "rules").glob("*.smk")]
    labels = [block for text in rules for block in re.findall(r"labels=\{([^}]*)\}", text)]
    assert labels
    assert all(block.count(":") == 1 for block in labels)


def test_snakemakes_own_report_shows_every_figure(finished):
    run = finished.snakemake("--report", "out.html")
    assert run.returncode == 0, run.stdout + run.stderr
    page = (finished.path / "out.html").read_text()
    assert "accuracy_by_resolution" in page


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"sweep": {"resolution": [24]}}, "did you mean resolutions?"),
        ({"sweep": {"models": ["tiny_cn"]}}, "did you mean tiny_cnn?"),
        (
            {"sweep": {"models": ["vgg11"], "resolutions": [24]}},
            "vgg11 needs images of at least 32 px",
        ),
        ({"sweep": {"seeds": []}}, "sweep.seeds"),
        ({"sweep": {"seeds": [0, 0]}}, "listed more than once"),
        ({"training": {"optimizer": {"learning_rate": "1e-1"}}}, "YAML reads it as text"),
        ({"training": {"epochs": 0}}, "training.epochs"),
    ],
)
def test_bad_input_stops_before_any_job_in_three_lines(checkout, overlay, said):
    run = checkout.snakemake("-n", overlay=overlay)
    printed = (run.stdout + run.stderr).splitlines()
    told = [
        line
        for line in printed
        if not line.startswith(("Config file", "Using workflow", "  File", "ConfigError in"))
    ]
    assert run.returncode != 0
    assert any(said in line for line in told), printed
    assert 1 <= len(told) <= 3, printed
    assert "Traceback" not in run.stdout + run.stderr
    assert not (checkout.path / "results").exists()
