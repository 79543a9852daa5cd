"""What only a GPU can show."""

import numpy as np
import pytest
import torch

from resomap.data.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.models.registry import load_model_from_config
from resomap.sections import Augmentation, Monitor, Optimizer, Schedule
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.trainer import Outcome, Trainer

pytestmark = pytest.mark.gpu
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def train(device: torch.device) -> Outcome:
    generator = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = (generator.integers(0, 100, (64, 24, 24, 3)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    pictures, answers = to_device(images, device), to_device(labels, device)
    normalise = Normalise(MEAN, STD, device)
    torch.manual_seed(0)
    model = load_model_from_config("tiny_cnn", num_classes=2).to(device, memory_format=torch.channels_last)
    loader = TrainLoader(pictures, answers, normalise, 16, 0, Augmentation(horizontal_flip=0.5))
    optimizer = build_optimizer(Optimizer(type="adamw", lr=0.005, weight_decay=0.01), model)
    schedule = build_schedule(Schedule(type="cosine", warmup_epochs=1.0, min_lr=0.0), optimizer, len(loader), 3)
    trainer = Trainer(model, optimizer, schedule, label_smoothing=0.0, monitor=Monitor(name="val_loss", mode="min"))
    return trainer.fit(loader, EvalLoader(pictures, answers, normalise, 64), 3)


def test_a_network_learns_on_the_gpu_what_it_learns_on_the_cpu():
    there, here = train(torch.device("cuda")), train(torch.device("cpu"))
    assert there.scores["val_accuracy"] == here.scores["val_accuracy"] == 1.0
    assert there.history[0]["train_loss"] == pytest.approx(here.history[0]["train_loss"], rel=0.02)
