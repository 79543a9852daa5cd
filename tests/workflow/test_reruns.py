"""What an edit reruns: exactly what it may change, and nothing else."""

import os
import shutil

import pytest

ENDS = {"aggregate_tables": 1, "plot_figures": 1, "build_report": 1}
TRAINER, REEF = "resomap/training/trainer.py", "resomap/data/reef/render.py"


def test_a_finished_sweep_has_nothing_to_do(smoked):
    assert smoked.planned() == {}
    again = smoked.snakemake()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        pytest.param(
            {"experiment": {"name": "Another title"}}, {"build_report": 1}, id="the title"
        ),
        pytest.param({"report": {"margin": 0.05}}, ENDS, id="the margin"),
        pytest.param(
            {"explainability": {"methods": ["gradcam", "saliency"]}},
            {"explain_run": 2, "compare_explanations": 1, **ENDS},
            id="explainability.methods",
        ),
        pytest.param(
            {"training": {"optimizer": {"learning_rate": 0.002}}},
            {
                "train_run": 2,
                "evaluate_run": 2,
                "explain_run": 2,
                "compare_explanations": 1,
                **ENDS,
            },
            id="learning rate",
        ),
        pytest.param(
            {"training": {"optimizer": {"learning_rate": 0.01, "weight_decay": 0.005}}},
            {
                "train_run": 2,
                "evaluate_run": 2,
                "explain_run": 2,
                "compare_explanations": 1,
                **ENDS,
            },
            id="learning rate and weight decay swapped",
        ),
        pytest.param(
            {"sweep": {"resolutions": [16, 24, 32]}},
            {
                "resize_data": 1,
                "train_run": 1,
                "evaluate_run": 3,
                "explain_run": 1,
                "compare_explanations": 1,
                "profile_model": 1,
                "summarise_models": 1,
                **ENDS,
            },
            id="one more resolution",
        ),
        pytest.param(
            {"sweep": {"resolutions": [24, 16]}}, {}, id="resolutions in another order"
        ),
        pytest.param(
            {"sweep": {"models": ["tiny_cnn", "simple_cnn"]}},
            {
                "train_run": 2,
                "evaluate_run": 2,
                "explain_run": 2,
                "compare_explanations": 2,
                "profile_model": 1,
                "summarise_models": 1,
                **ENDS,
            },
            id="one more model",
        ),
        pytest.param(
            {"sweep": {"models": ["tiny_cnn_224"]}}, {}, id="the same model by its alias"
        ),
        pytest.param(
            {"sweep": {"seeds": [0, 1]}},
            {
                "train_run": 2,
                "evaluate_run": 2,
                "explain_run": 2,
                "compare_explanations": 1,
                **ENDS,
            },
            id="one more seed",
        ),
        pytest.param(
            {"system": {"training": {"gpus": 2, "num_workers": 0, "tensorboard": True}}},
            {},
            id="how trainings run",
        ),
        pytest.param(
            {"system": {"profiling": {"rounds": 6}}},
            {"profile_model": 1, **ENDS},
            id="rounds of the profile",
        ),
    ],
)
def test_an_edit_of_the_configuration_reruns_exactly(smoked, overlay, expected):
    assert smoked.planned(overlay) == expected


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        pytest.param(
            TRAINER, "import sys\n", "import sys  # for its stderr\n", {}, id="a comment"
        ),
        pytest.param(
            TRAINER,
            '"""One epoch of training,',
            '"""Training for an epoch,',
            {},
            id="a docstring",
        ),
        pytest.param(
            TRAINER,
            "self.scaler.scale(loss * (",
            "self.scaler.scale(1.0 * loss * (",
            {
                "train_run": 2,
                "evaluate_run": 2,
                "explain_run": 2,
                "compare_explanations": 1,
                **ENDS,
            },
            id="the trainer",
        ),
        pytest.param(
            "resomap/entry/evaluate.py",
            "BATCH = 128",
            "BATCH = 64",
            {"evaluate_run": 2, "compare_explanations": 1, **ENDS},
            id="the evaluation",
        ),
        pytest.param(
            "resomap/report/page.py",
            "import ",
            "import this_is_never_run, ",
            {"build_report": 1},
            id="the report",
        ),
    ],
)
def test_an_edit_of_the_code_reruns_exactly(smoked, file, old, new, expected):
    smoked.edit(file, old, new)
    assert smoked.planned() == expected


def test_an_edit_of_the_reef_draws_resizes_and_trains_again(smoked):
    smoked.edit(REEF, "\nimport numpy", "\nANOTHER = 1\nimport numpy")
    assert smoked.planned() == {
        "identify_data": 1, "prepare_data": 1, "resize_data": 2, "profile_model": 1, "summarise_models": 1, "train_run": 2, "evaluate_run": 2, "explain_run": 2, "compare_explanations": 1, **ENDS,
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"seed": 1}, {"shortcut": 0.95}])
def test_other_pictures_train_again_in_the_same_invocation(smoked, change):
    assert smoked.planned({"data": {"reef": change}}) == {
        "identify_data": 1, "prepare_data": 1, "resize_data": 2, "profile_model": 1, "summarise_models": 1, "train_run": 2, "evaluate_run": 2, "explain_run": 2, "compare_explanations": 1, **ENDS,
    }  # fmt: skip


def test_pictures_deleted_to_save_space_retrain_nothing(smoked):
    shutil.rmtree(smoked.path / "results/data/r24")
    (smoked.path / "results/data/native.npy").unlink()
    assert smoked.planned() == {}


def test_a_touched_manifest_reruns_nothing(smoked):
    os.utime(smoked.path / "results/data/manifest.json")
    assert smoked.planned() == {}


def test_a_deleted_result_is_made_again_alone(smoked):
    (smoked.path / "results/runs/custom/tiny_cnn/r24/seed0/evaluation.csv").unlink()
    assert smoked.planned(target="evaluate") == {"evaluate_run": 1}
