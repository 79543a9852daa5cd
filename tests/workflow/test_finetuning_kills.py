"""Killed fine-tunings end with the same bytes, on any number of loader workers."""

import re
import signal
from typing import Any

import pytest
import torch

from tests.workflow.conftest import Checkout
from tests.workflow.test_kills import (
    RESUMED,
    TIMEOUT_SECONDS,
    read_outputs,
    remove_outputs,
    start_training,
)

# Dropout, so that the masks of a resumed step count too.
NETS = """
from torch import nn


def make(num_classes):
    stages = []
    for inputs, outputs in ((3, 8), (8, 16)):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=2, bias=False)
        stages += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.2)]
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2)
    return nn.Sequential(*stages, *pool, nn.Linear(16, num_classes))
"""
EPOCHS, UNFREEZE_EPOCH = 5, 2
OVERLAY: dict[str, Any] = {
    # Under the name of a shipped network, as the kills of other trainings have it.
    "models": {"tiny_cnn": {"builder": "nets:make", "channels": None}},
    "data": {"reef": {"train": 96}},
    "training": {
        "epochs": EPOCHS,
        "batch_size": 8,
        "save_top_k": 2,
        "save_optimizer": True,
        "ema_decay": 0.9,
        "mixup": 0.2,
        "cutmix": 1.0,
        "start": "start.pth",
        "finetune": {
            "freeze": "backbone",
            "unfreeze_epoch": UNFREEZE_EPOCH,
            "backbone_lr": 0.1,
            "layer_decay": 0.7,
        },
        "augmentation": {
            "random_resized_crop": {
                "scale": [0.3, 1.0],
                "ratio": [0.75, 1.3],
                "crop_from": "native",
            },
            "rand_augment": {"num_ops": 2, "magnitude": 9},
            "trivial_augment": True,
        },
    },
    "system": {"device": "cpu", "training": {"save_every_seconds": 0.001}},
}
# A training that saves after every step, and kills itself in the middle of one.
KILLED = """
import os, runpy, signal
from resomap.training import autosave, trainer

autosave.MAX_SAVE_SHARE = 1e9
update, steps = trainer.Trainer._update, iter(range({steps}))


def update_or_die(self):
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    update(self)


trainer.Trainer._update = update_or_die
runpy.run_module("resomap.entry.train", run_name="__main__")
"""
# The steps that a process takes, of 12 in an epoch, and the number of its loader workers.
KILLS = ((5, 0), (14, 2), (14, 2), (12, 0))


@pytest.fixture(scope="module")
def prepared(copy_to, tmp_path_factory) -> Checkout:
    checkout = copy_to(tmp_path_factory.mktemp("kills") / "resomap")
    (checkout.path / "nets.py").write_text(NETS, encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(NETS, scope)
    torch.manual_seed(1)
    torch.save(scope["make"](1000).state_dict(), checkout.path / "start.pth")
    done = checkout.snakemake("results/data/r24/train.npy", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def kill_after(checkout: Checkout, steps: int, num_workers: int) -> int:
    """Kill a training after so many steps, and return the epoch, from 1, in which it began."""
    program = ("-c", KILLED.format(steps=steps))
    process = start_training(checkout, num_workers=num_workers, program=program)
    log = checkout.path / "train.log"
    assert process.wait(TIMEOUT_SECONDS) == -signal.SIGKILL, log.read_text()
    resumed = re.search(rf"{RESUMED} (\d+)", log.read_text())
    return int(resumed[1]) if resumed else 1


def test_killed_finetuning_ends_with_the_same_bytes(prepared):
    assert start_training(prepared).wait(TIMEOUT_SECONDS) == 0
    undisturbed = read_outputs(prepared)
    remove_outputs(prepared)
    begun = [kill_after(prepared, *kill) for kill in KILLS]
    # Two processes begin with a frozen backbone, and the last two after it is trained.
    assert begun == [1, 1, 2, 3]
    assert start_training(prepared, num_workers=2).wait(TIMEOUT_SECONDS) == 0
    assert f"{RESUMED} 4" in (prepared.path / "train.log").read_text()
    assert read_outputs(prepared) == undisturbed
