"""A training that ends after any step and goes on is the training that never ended."""

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resomap.config.training import Monitor
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader
from resomap.errors import Stopped
from resomap.training.autosave import Autosave
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.checkpoint import save_weights
from resomap.training.fit import Outcome, fit
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.states import StateFolder
from resomap.training.trainer import Trainer
from tests.recipes import augmentation, optimizer, schedule
from tests.unit.test_trainer import pictures

EPOCHS, STEPS = 3, 5
LOSS = Monitor(name="val_loss", mode="min")
NORMALISE = Normalise((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), torch.device("cpu"))
ALWAYS = 1e9


class Killed(Exception):
    """What a test throws where a kernel would kill."""


def network() -> nn.Module:
    """Convolution (so that the memory format matters), BatchNorm and dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 2),
    )


def trainer(kind: str = "adamw", rates: str = "cosine", **options: Any) -> Trainer:
    torch.manual_seed(0)
    model = network().to(memory_format=torch.channels_last)
    train = TrainLoader(*pictures(72, 1), NORMALISE, 16, 0, augmentation(horizontal_flip=0.5))
    steps = build_optimizer(optimizer(0.02, kind), model)
    plan = build_schedule(schedule(rates), steps, len(train), EPOCHS, LOSS)
    val = EvalLoader(*pictures(30, 2), NORMALISE, 16)
    return Trainer(
        model,
        "cpu",
        nn.CrossEntropyLoss(),
        steps,
        train,
        val,
        scheduler=plan,
        seed=7,
        **options,
    )


def course(
    folder: Path, killed_after: int | None = None, every: int = 1, **options: Any
) -> Outcome:
    """One process of a training whose states lie in `folder`, killed after so many optimizer steps."""
    one = trainer(**options)
    step, done = one._step, 0

    def counted(*arguments: Any) -> None:
        nonlocal done
        if done == killed_after:
            raise Killed
        done += 1
        step(*arguments)

    one._step = counted
    autosave = Autosave(StateFolder(folder / "states", "this training"), ALWAYS, every)
    autosave._reschedule = lambda cost: vars(autosave).update(
        _earliest=0.0, _latest=math.inf, _last_save=autosave._count
    )
    autosave._reschedule(0)
    parts = {
        "early_stopping": EarlyStopping(2),
        "checkpoint": ModelCheckpoint(folder / "kept", save_top_k=2, save_optimizer=True),
    }
    return fit(one, EPOCHS, LOSS, resolution=8, autosave=autosave, **parts)


def position(folder: Path) -> int:
    """Optimizer steps that the newest state has behind it."""
    state = StateFolder(folder / "states", "this training").load()
    return STEPS * len(state["outcome"]["history"]) + state["tally"]["steps"] if state else 0


def written(folder: Path, outcome: Outcome) -> dict[str, Any]:
    """All that a training leaves, times aside."""
    save_weights(folder / "best.safetensors", outcome.weights, {"status": outcome.status})
    kept = {path.name: path.read_bytes() for path in (folder / "kept").iterdir()}
    return {
        "best": (folder / "best.safetensors").read_bytes(),
        "kept": kept,
        "history": outcome.history,
        "scores": outcome.scores,
    }


KINDS: list[dict[str, Any]] = [
    {},
    {"kind": "sgd", "rates": "step", "ema_decay": 0.9, "micro_batch": 6},
    {"kind": "adam", "rates": "plateau", "precision": "bf16", "gradient_clip_norm": 1.0},
    {"rates": "multistep", "precision": "fp16"},
]


@pytest.mark.parametrize(
    "options", KINDS, ids=lambda options: " ".join(map(str, options.values())) or "default"
)
def test_killed_after_every_step_it_ends_with_the_same_bytes(tmp_path, options):
    undisturbed = written(tmp_path, course(tmp_path, **options))
    for step in range(EPOCHS * STEPS):
        folder = tmp_path / str(step)
        with pytest.raises(Killed):
            course(folder, step, **options)
        assert written(folder, course(folder, **options)) == undisturbed


@settings(max_examples=10)
@given(kills=st.lists(st.integers(0, 8), max_size=6), every=st.integers(1, 7))
def test_killed_again_and_again_it_ends_with_the_same_bytes_and_loses_one_interval_at_most(
    tmp_path_factory, kills, every
):
    folder = tmp_path_factory.mktemp("killed")
    undisturbed = written(folder / "undisturbed", course(folder / "undisturbed"))
    for kill in kills:
        before = position(folder)
        try:
            course(folder, kill, every)
        except Killed:
            assert before + kill - every < position(folder) <= before + kill
            continue
        break
    assert written(folder, course(folder, every=every)) == undisturbed


def test_a_signal_saves_after_the_step_and_ends(tmp_path):
    undisturbed = written(tmp_path / "undisturbed", course(tmp_path / "undisturbed"))
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        folder = tmp_path / signum.name
        one = trainer()
        step, done = one._step, list[int]()

        def signalled(
            *arguments: Any, step: Any = step, done: list[int] = done, signum: int = signum
        ) -> None:
            step(*arguments)
            done.append(1)
            if len(done) == 7:
                signal.raise_signal(signum)

        one._step = signalled
        autosave = Autosave(StateFolder(folder / "states", "this training"), ALWAYS)
        parts = {
            "early_stopping": EarlyStopping(2),
            "checkpoint": ModelCheckpoint(folder / "kept", save_top_k=2, save_optimizer=True),
        }
        with (
            autosave.handling_signals(),
            pytest.raises(Stopped, match=f"stopped by {signum.name}") as stopped,
        ):
            fit(one, EPOCHS, LOSS, resolution=8, autosave=autosave, **parts)
        assert (stopped.value.exit_code, len(done)) == (128 + signum, 7)
        assert StateFolder(folder / "states", "this training").load()["tally"]["steps"] == 2
        assert written(folder, course(folder)) == undisturbed
