"""An edit reruns exactly the jobs whose results it may change."""

import os
import shutil

import pytest

REPORT = {"build_report": 1, "identify_sweep": 1}
AFTER_RUNS = {"aggregate_tables": 1, "plot_figures": 1, "build_report": 1, "identify_sweep": 3}
RETRAIN = {
    "train_run": 2,
    "evaluate_run": 2,
    "explain_run": 2,
    "compare_explanations": 1,
    **AFTER_RUNS,
}
PREPARE = {
    "identify_data": 1,
    "prepare_data": 1,
    "resize_data": 2,
    "profile_model": 1,
    "summarise_models": 1,
}
MORE_RESOLUTIONS = {
    "resize_data": 1,
    "train_run": 1,
    "evaluate_run": 3,
    "explain_run": 1,
    "compare_explanations": 1,
    "profile_model": 1,
    "summarise_models": 1,
    **AFTER_RUNS,
}
MORE_MODELS = RETRAIN | {"compare_explanations": 2, "profile_model": 1, "summarise_models": 1}
CONFIG_EDITS = {
    "title": ({"experiment": {"name": "Another title"}}, REPORT),
    "margin": ({"report": {"margin": 0.05}}, AFTER_RUNS),
    "methods": (
        {"explainability": {"methods": ["gradcam", "saliency"]}},
        {"explain_run": 2, "compare_explanations": 1, **AFTER_RUNS},
    ),
    "learning rate": ({"training": {"optimizer": {"learning_rate": 0.002}}}, RETRAIN),
    "learning rate and weight decay swapped": (
        {"training": {"optimizer": {"learning_rate": 0.01, "weight_decay": 0.005}}},
        RETRAIN,
    ),
    "another resolution": ({"sweep": {"resolutions": [16, 24, 32]}}, MORE_RESOLUTIONS),
    "order of resolutions": ({"sweep": {"resolutions": [24, 16]}}, {}),
    "another model": ({"sweep": {"models": ["tiny_cnn", "simple_cnn"]}}, MORE_MODELS),
    "alias of a model": ({"sweep": {"models": ["tiny_cnn_224"]}}, {}),
    "another seed": ({"sweep": {"seeds": [0, 1]}}, RETRAIN),
    "runtime": (
        {"system": {"training": {"gpus": 2, "num_workers": 0, "tensorboard": True}}},
        {},
    ),
    "profiling": ({"system": {"profiling": {"rounds": 6}}}, {"profile_model": 1, **AFTER_RUNS}),
    "images": ({"data": {"reef": {"seed": 1}}}, PREPARE | RETRAIN),
    "shortcut": ({"data": {"reef": {"shortcut": 0.95}}}, PREPARE | RETRAIN),
}
TRAINER = "resomap/training/trainer.py"
CODE_EDITS = {
    "comment": (TRAINER, "# a comment", {}),
    "docstring": (TRAINER, '"""A docstring."""', {}),
    "trainer": (TRAINER, "ANOTHER = 1", RETRAIN),
    "evaluation": (
        "resomap/entry/evaluate.py",
        "ANOTHER = 1",
        {"evaluate_run": 2, "compare_explanations": 1, **AFTER_RUNS},
    ),
    "report": ("resomap/report/page.py", "ANOTHER = 1", REPORT),
    "reef": ("resomap/data/reef/render.py", "ANOTHER = 1", PREPARE | RETRAIN),
}


def test_finished_sweep_has_nothing_to_do(finished_copy):
    assert finished_copy.planned_jobs(fork=True) == {}
    again = finished_copy.snakemake()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize(("overlay", "expected"), CONFIG_EDITS.values(), ids=CONFIG_EDITS)
def test_config_edit_reruns_exactly(finished_copy, overlay, expected):
    assert finished_copy.planned_jobs(overlay, fork=True) == expected


@pytest.mark.parametrize(("file", "text", "expected"), CODE_EDITS.values(), ids=CODE_EDITS)
def test_code_edit_reruns_exactly(finished_copy, file, text, expected):
    finished_copy.append(file, text)
    assert finished_copy.planned_jobs() == expected


def test_deleted_image_arrays_retrain_nothing(finished_copy):
    shutil.rmtree(finished_copy.path / "results/data/r24")
    (finished_copy.path / "results/data/native.npy").unlink()
    assert finished_copy.planned_jobs(fork=True) == {}


def test_touched_manifest_reruns_nothing(finished_copy):
    os.utime(finished_copy.path / "results/data/manifest.json")
    assert finished_copy.planned_jobs(fork=True) == {}


def test_deleted_result_reruns_its_job_only(finished_copy):
    run = "results/runs/custom/tiny_cnn/r24/seed0"
    (finished_copy.path / run / "evaluation.csv").unlink()
    assert finished_copy.planned_jobs(target="evaluate", fork=True) == {"evaluate_run": 1}
