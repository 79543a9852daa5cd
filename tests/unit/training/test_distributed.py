import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from resomap.training.distributed import Group, unwrap
from resomap.training.finetune import Freezing
from tests.recipes import finetune
from tests.tiny_training import build_network, build_noise_trainer

ROOT = Path(__file__).parents[3]
CRITERION = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.5]))
PROGRAM = """
import sys, torch
from resomap.training.distributed import join_group
from tests.tiny_training import build_network, build_noise_trainer
from tests.unit.training.test_distributed import CRITERION

micro_batch = {micro_batch}
with join_group(torch.device("cpu")) as (group, device):
    trainer = build_noise_trainer(
        build_network(), 11, criterion=CRITERION, micro_batch=micro_batch, group=group
    )
    part = lambda tensor: tensor.tensor_split(group.world_size)[group.rank]
    trainer.train_loader = [tuple(map(part, batch)) for batch in trainer.train_loader]
    backward, passes = trainer._backward, []
    trainer._backward = lambda *batch: passes.append(len(batch[0])) or backward(*batch)
    train, val = trainer.train_epoch(), trainer.validate()
    all_passes = [None] * group.world_size
    torch.distributed.all_gather_object(all_passes, passes)
    if group.is_leader:
        state = trainer.model.module.state_dict()
        torch.save((state, train["accuracy"], val["loss"], all_passes), {path!r})
"""


# Two batches of 11 images, in parts of 6 and 5. A micro-batch of 5 would split only the larger.
@pytest.mark.parametrize(
    ("micro_batch", "passes"),
    [
        (None, [[6, 6], [5, 5]]),
        (2, [[2, 2, 2] * 2, [2, 2, 1] * 2]),
        (5, [[3, 3] * 2, [3, 2] * 2]),
    ],
)
def test_two_processes_equal_one(tmp_path, micro_batch, passes):
    path, script = tmp_path / "weights.pt", tmp_path / "two.py"
    script.write_text(PROGRAM.format(path=str(path), micro_batch=micro_batch))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *torchrun, str(script)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=120)
    weights, accuracy, val_loss, all_passes = torch.load(path, weights_only=True)
    assert all_passes == passes
    trainer = build_noise_trainer(build_network(), 11, criterion=CRITERION)
    train, val = trainer.train_epoch(), trainer.validate()
    state = dict(trainer.model.state_dict())
    torch.testing.assert_close(dict(weights), state, rtol=1e-5, atol=1e-6)
    assert accuracy == train["accuracy"]
    assert val_loss == pytest.approx(val["loss"], rel=1e-5)


HEAD = ("4.weight", "4.bias")
UNFREEZING = """
import torch
from resomap.training.distributed import join_group
from tests.unit.training.test_distributed import train_unfreezing

with join_group(torch.device("cpu")) as (group, device):
    weights = train_unfreezing(group)
    if group.is_leader:
        torch.save(weights, {path!r})
"""


def train_unfreezing(group: Group) -> dict[str, torch.Tensor]:
    """Train an epoch with a frozen backbone, and one of all; return the weights."""
    model = build_network()
    freezing = Freezing(model, finetune(freeze="backbone", unfreeze_epoch=1), 8, HEAD)
    trainer = build_noise_trainer(model, 11, group=group, freezing=freezing)
    batches = []
    for batch in trainer.train_loader:
        batches.append([each.tensor_split(group.world_size)[group.rank] for each in batch])
    trainer.train_loader = batches
    for epoch in range(2):
        trainer.train_epoch(epoch)
    return dict(unwrap(trainer.model).state_dict())


def test_two_processes_unfreeze_as_one(tmp_path):
    path, script = tmp_path / "weights.pt", tmp_path / "two.py"
    script.write_text(UNFREEZING.format(path=str(path)))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *torchrun, str(script)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=300)
    weights = torch.load(path, weights_only=True)
    torch.testing.assert_close(weights, train_unfreezing(Group()), rtol=1e-5, atol=1e-6)
