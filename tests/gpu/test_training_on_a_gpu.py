"""What only a GPU can show."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from resomap.config.training import Monitor
from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.models.registry import load_model_from_config
from resomap.training.autosave import Autosave
from resomap.training.fit import Outcome, fit
from resomap.training.memory import MicroBatch, forward_in_micro_batches
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.states import StateFolder
from resomap.training.trainer import Trainer
from tests.recipes import augmentation, optimizer, schedule

pytestmark = pytest.mark.gpu
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def train(
    device: torch.device,
    precision: str = "fp32",
    epochs: int = 3,
    autosave: Autosave | None = None,
) -> Outcome:
    generator = np.random.default_rng(0)
    labels = np.arange(64) % 2
    images = (
        generator.integers(0, 100, (64, 24, 24, 3)) + 120 * labels[:, None, None, None]
    ).astype(np.uint8)
    pictures, answers = to_device(images, device), to_device(labels, device)
    normalise = Normalise(MEAN, STD, device)
    torch.manual_seed(0)
    model = load_model_from_config("tiny_cnn", num_classes=2).to(
        device, memory_format=torch.channels_last
    )
    loader = TrainLoader(pictures, answers, normalise, 16, 0, augmentation(horizontal_flip=0.5))
    adamw = build_optimizer(optimizer(), model)
    monitor = Monitor(name="val_loss", mode="min")
    rates = build_schedule(schedule(), adamw, len(loader), 3, monitor)
    val = EvalLoader(pictures, answers, normalise, 64)
    trainer = Trainer(
        model,
        device,
        torch.nn.CrossEntropyLoss(),
        adamw,
        loader,
        val,
        scheduler=rates,
        precision=precision,
        seed=0,
    )
    return fit(trainer, epochs, monitor, autosave=autosave)


def test_a_network_learns_on_the_gpu_what_it_learns_on_the_cpu():
    there, here = train(torch.device("cuda")), train(torch.device("cpu"))
    assert there.scores["val_accuracy"] == here.scores["val_accuracy"] == 1.0
    assert there.history[0]["train_loss"] == pytest.approx(
        here.history[0]["train_loss"], rel=0.02
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_the_bits_learn_it_too(precision):
    assert train(torch.device("cuda"), precision).scores["val_accuracy"] == 1.0


def test_a_training_goes_on_from_its_state(tmp_path):
    device = torch.device("cuda")
    train(
        device,
        epochs=2,
        autosave=Autosave(StateFolder(tmp_path, "this training"), seconds=1e-6),
    )
    resumed, whole = (
        train(device, autosave=Autosave(StateFolder(tmp_path, "this training"), seconds=1e9)),
        train(device),
    )
    assert len(resumed.history) == 3
    assert resumed.history[2]["train_loss"] == pytest.approx(
        whole.history[2]["train_loss"], rel=0.02
    )


def test_memory_that_runs_out_for_real_halves_the_batch():
    device = torch.device("cuda")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 24 * 24, 2)).to(device)
    free, _ = torch.cuda.mem_get_info(device)

    def hungry(images: torch.Tensor) -> torch.Tensor:
        torch.empty(len(images) * free // 20, dtype=torch.uint8, device=device)
        return model(images)

    images = torch.zeros(32, 3, 24, 24, device=device)
    assert predict_with(hungry, images).shape == (32, 2)


def predict_with(
    network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> torch.Tensor:
    micro_batch = MicroBatch()
    logits = forward_in_micro_batches(network, images, micro_batch)
    assert micro_batch.size in (8, 16)
    return logits


def test_a_job_sees_the_one_card_that_it_leased():
    program = "import os, torch; from resomap.system.gpus import open_device; open_device('cuda'); print(torch.cuda.device_count(), os.environ['CUDA_VISIBLE_DEVICES'])"
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    ).stdout.split()
    assert told[0] == "1"
    assert told[1].startswith("GPU-")
