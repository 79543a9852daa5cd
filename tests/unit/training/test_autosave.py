"""A training that is killed after any step and resumed ends with the same bytes."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from resomap.errors import Stopped
from resomap.training.autosave import Autosave
from resomap.training.callbacks import EarlyStopping, ModelCheckpoint
from resomap.training.checkpoint import save_weights
from resomap.training.fit import Outcome, fit
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.states import StateFolder
from resomap.training.trainer import Trainer
from tests.recipes import optimizer, schedule
from tests.tiny_training import VAL_LOSS, build_loaders

EPOCHS, STEPS = 3, 5
NEVER = 1e9


class Killed(Exception):
    """Raised in place of a kill by the kernel."""


def build_network() -> nn.Module:
    """Return a network with convolutions (for the memory format), BatchNorm and dropout."""
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


def build_trainer(kind: str = "adamw", rates: str = "cosine", **options: Any) -> Trainer:
    torch.manual_seed(0)
    model = build_network().to(memory_format=torch.channels_last)
    train, val = build_loaders()
    steps = build_optimizer(optimizer(0.02, kind), model)
    options["scheduler"] = build_schedule(schedule(rates), steps, len(train), EPOCHS, VAL_LOSS)
    return Trainer(model, "cpu", nn.CrossEntropyLoss(), steps, train, val, seed=7, **options)


def states_in(folder: Path) -> StateFolder:
    return StateFolder(folder / "states", "this training")


def fit_in(folder: Path, trainer: Trainer, autosave: Autosave) -> Outcome:
    checkpoint = ModelCheckpoint(folder / "kept", save_top_k=2, save_optimizer=True)
    return fit(
        trainer,
        EPOCHS,
        VAL_LOSS,
        resolution=8,
        early_stopping=EarlyStopping(2),
        checkpoint=checkpoint,
        autosave=autosave,
    )


def before_each_step(trainer: Trainer, hook: Any) -> None:
    """Call `hook` with the number of steps taken so far, before each step of `trainer`."""
    step, numbers = trainer._step, iter(range(10**6))

    def hooked(*arguments: Any) -> None:
        hook(next(numbers))
        step(*arguments)

    trainer._step = hooked


def run_process(
    folder: Path, killed_after: int | None = None, every: int = 1, **options: Any
) -> Outcome:
    """Return the outcome of a process with states in `folder`, killed after so many steps."""

    def kill(steps: int) -> None:
        if steps == killed_after:
            raise Killed

    trainer = build_trainer(**options)
    before_each_step(trainer, kill)
    autosave = Autosave(states_in(folder), NEVER, every)
    # Without the limit on the time of saving, which would skip most saves of so short a training.
    autosave._reschedule = lambda cost: vars(autosave).update(
        _earliest=0.0, _latest=math.inf, _last_save=autosave._count
    )
    autosave._reschedule(0)
    return fit_in(folder, trainer, autosave)


def saved_steps(folder: Path) -> int:
    """Return the number of optimizer steps before the newest state."""
    state = states_in(folder).load()
    if state is None:
        return 0
    return STEPS * len(state["outcome"]["history"]) + state["tally"]["steps"]


def results_in(folder: Path, outcome: Outcome) -> dict[str, Any]:
    """Return the results of a training, without times."""
    best = folder / "best.safetensors"
    save_weights(best, outcome.weights, {"status": outcome.status})
    return {
        "best": best.read_bytes(),
        "kept": {path.name: path.read_bytes() for path in (folder / "kept").iterdir()},
        "history": outcome.history,
        "scores": outcome.scores,
    }


KINDS: list[dict[str, Any]] = [
    {},
    {"kind": "sgd", "rates": "step", "ema_decay": 0.9, "micro_batch": 6},
    {"kind": "adam", "rates": "plateau", "precision": "bf16", "gradient_clip_norm": 1.0},
    {"rates": "multistep", "precision": "fp16"},
]


def kind_id(options: dict[str, Any]) -> str:
    return " ".join(map(str, options.values())) or "default"


@pytest.mark.parametrize("options", KINDS, ids=kind_id)
def test_kill_after_each_step_gives_same_bytes(tmp_path, options):
    undisturbed = results_in(tmp_path, run_process(tmp_path, **options))
    for step in range(EPOCHS * STEPS):
        folder = tmp_path / str(step)
        with pytest.raises(Killed):
            run_process(folder, step, **options)
        assert results_in(folder, run_process(folder, **options)) == undisturbed


@settings(max_examples=10)
@given(kills=st.lists(st.integers(0, 8), max_size=6), every=st.integers(1, 7))
def test_repeated_kills_lose_one_interval_at_most(tmp_path_factory, kills, every):
    folder, other = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("undisturbed")
    for kill in kills:
        before = saved_steps(folder)
        try:
            run_process(folder, kill, every)
        except Killed:
            assert before + kill - every < saved_steps(folder) <= before + kill
            continue
        break
    undisturbed = results_in(other, run_process(other))
    assert results_in(folder, run_process(folder, every=every)) == undisturbed


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_saves_after_step_and_stops(tmp_path, signum):
    trainer, autosave = build_trainer(), Autosave(states_in(tmp_path), NEVER)
    before_each_step(trainer, lambda steps: steps == 6 and signal.raise_signal(signum))
    message = f"stopped by {signum.name}"
    with autosave.handling_signals(), pytest.raises(Stopped, match=message) as stopped:
        fit_in(tmp_path, trainer, autosave)
    assert stopped.value.exit_code == 128 + signum
    assert saved_steps(tmp_path) == 7
    other = tmp_path / "undisturbed"
    undisturbed = results_in(other, run_process(other))
    assert results_in(tmp_path, run_process(tmp_path)) == undisturbed


# The leader is stopped in its validation, for which the other process waits.
STOPPED_PAIR = """
import pathlib, signal, torch
from resomap.errors import Stopped
from resomap.training.autosave import Autosave
from resomap.training.distributed import join_group
from tests.unit.training.test_autosave import NEVER, build_trainer, fit_in, states_in

class StoppedLoader(list):
    def __iter__(self):
        for batch in list.__iter__(self):
            signal.raise_signal(signal.SIGTERM)
            yield batch

folder = pathlib.Path({folder!r})
with join_group(torch.device("cpu")) as (group, device):
    trainer = build_trainer(group=group)
    trainer.train_loader._rank, trainer.train_loader._world = group.rank, group.world_size
    trainer.val_loader = StoppedLoader(trainer.val_loader)
    autosave = Autosave(states_in(folder), NEVER, None, group)
    with autosave.handling_signals():
        try:
            fit_in(folder, trainer, autosave)
        except Stopped as stopped:
            (folder / str(group.rank)).write_text(str(stopped.exit_code))
"""


def test_processes_stopped_in_validation_end_and_keep_the_epoch(tmp_path):
    script = tmp_path / "pair.py"
    script.write_text(STOPPED_PAIR.format(folder=str(tmp_path)))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, *torchrun, str(script)]
    subprocess.run(command, check=True, cwd=root, env=environment, timeout=120)
    assert [(tmp_path / rank).read_text() for rank in "01"] == [str(128 + signal.SIGTERM)] * 2
    assert saved_steps(tmp_path) == STEPS
