import pytest

from resomap.config.load import build_config
from resomap.config.schema import Config
from resomap.errors import ConfigError
from resomap.workflow.checks import recipe_checks
from resomap.workflow.checks.recipe_checks import (
    check_decay_steps,
    recipe_warnings,
    steps_per_epoch,
)

LONG_MEMORY = (
    "warning: config/training.yaml: training.ema_decay: 0.999 remembers 1,000 steps, and the "
    "training has 400: the average lags behind; 0.97 would suit it"
)


def with_training(**training: object) -> Config:
    return build_config({"training": training})


@pytest.mark.parametrize(
    ("batch_size", "steps"), [(32, 50), (1600, 1), (3000, 1), (1599, 1), (1000, 2)]
)
def test_steps_are_those_of_the_loader(batch_size, steps):
    assert steps_per_epoch(with_training(batch_size=batch_size)) == steps


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (
            {"type": "multistep", "multistep": {"milestones": [0.001, 3.0]}},
            r"schedule\.multistep\.milestones: 0\.001 epochs are less than one step: an epoch has "
            r"50 steps, so write at least 0\.02",
        ),
        ({"type": "step", "step": {"epochs": 0.01}}, r"schedule\.step\.epochs: 0\.01 epochs"),
    ],
)
def test_decay_below_one_step_is_refused(schedule, message):
    with pytest.raises(ConfigError, match=message):
        check_decay_steps(with_training(schedule=schedule))


def test_decay_of_one_step_is_accepted():
    schedule = {"type": "step", "step": {"epochs": 0.02}}
    check_decay_steps(with_training(schedule=schedule))
    check_decay_steps(with_training(schedule={"step": {"epochs": 0.001}}))


@pytest.mark.parametrize(
    ("training", "lines"),
    [
        ({}, []),
        ({"ema_decay": 0.999}, [LONG_MEMORY]),
        ({"ema_decay": 0.99}, []),
        (
            {"schedule": {"type": "multistep"}},
            ["type: multistep: the learning rate never decays"],
        ),
        ({"schedule": {"type": "step", "step": {"epochs": 3.0}}}, []),
        ({"schedule": {"type": "plateau"}}, ["type: plateau: the learning rate never decays"]),
    ],
)
def test_settings_without_effect_are_warned_about(training, lines):
    warnings = list(recipe_warnings(with_training(**training)))
    assert len(warnings) == len(lines)
    assert all(part in warning for part, warning in zip(lines, warnings, strict=True))


@pytest.mark.parametrize(
    ("precision", "present", "count"),
    [("tf32", False, 1), ("tf32", True, 0), ("bf16", False, 0)],
)
def test_tf32_without_gpu_is_warned_about(monkeypatch, precision, present, count):
    monkeypatch.setattr(recipe_checks, "has_nvidia_device", lambda: present)
    lines = list(recipe_warnings(with_training(precision=precision)))
    assert len(lines) == count
    assert all("training.precision: tf32" in line for line in lines)
