"""What only a GPU can show."""

import numpy as np
import pytest
import torch

from resomap.data.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.models.registry import load_model_from_config
from resomap.recipe import Monitor
from resomap.training.fit import Outcome, fit
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.trainer import Trainer
from tests.recipes import augmentation, optimizer, schedule

pytestmark = pytest.mark.gpu
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def train(device: torch.device, precision: str = "fp32") -> Outcome:
    generator = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = (generator.integers(0, 100, (64, 24, 24, 3)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    pictures, answers = to_device(images, device), to_device(labels, device)
    normalise = Normalise(MEAN, STD, device)
    torch.manual_seed(0)
    model = load_model_from_config("tiny_cnn", num_classes=2).to(device, memory_format=torch.channels_last)
    loader = TrainLoader(pictures, answers, normalise, 16, 0, augmentation(horizontal_flip=0.5))
    adamw = build_optimizer(optimizer(), model)
    monitor = Monitor(name="val_loss", mode="min")
    rates = build_schedule(schedule(), adamw, len(loader), 3, monitor)
    val = EvalLoader(pictures, answers, normalise, 64)
    return fit(Trainer(model, device, torch.nn.CrossEntropyLoss(), adamw, loader, val, scheduler=rates, precision=precision), 3, monitor)


def test_a_network_learns_on_the_gpu_what_it_learns_on_the_cpu():
    there, here = train(torch.device("cuda")), train(torch.device("cpu"))
    assert there.scores["val_accuracy"] == here.scores["val_accuracy"] == 1.0
    assert there.history[0]["train_loss"] == pytest.approx(here.history[0]["train_loss"], rel=0.02)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_the_bits_learn_it_too(precision):
    assert train(torch.device("cuda"), precision).scores["val_accuracy"] == 1.0
