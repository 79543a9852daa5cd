"""What only a GPU can show."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.models.registry import load_model_from_config
from resomap.profiling.variants import build_workload, parse_variant, prepare_model
from resomap.training.autosave import Autosave
from resomap.training.fit import Outcome, fit
from resomap.training.memory import MicroBatch, forward_in_micro_batches
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.states import StateFolder
from resomap.training.trainer import Trainer
from tests.recipes import augmentation, optimizer, schedule
from tests.tiny_training import VAL_LOSS

pytestmark = pytest.mark.gpu
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


def build_images(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return dark images (class 0) and bright ones (class 1)."""
    labels = np.arange(64) % 2
    noise = np.random.default_rng(0).integers(0, 100, (64, 24, 24, 3))
    images = (noise + 120 * labels[:, None, None, None]).astype(np.uint8)
    return to_device(images, device), to_device(labels, device)


def build_trainer(device: torch.device, precision: str) -> Trainer:
    images, labels = build_images(device)
    normalise = Normalise(MEAN, STD, device)
    torch.manual_seed(0)
    model = load_model_from_config("tiny_cnn", num_classes=2)
    model = model.to(device, memory_format=torch.channels_last)
    train = TrainLoader(images, labels, normalise, 16, 0, augmentation(horizontal_flip=0.5))
    adamw = build_optimizer(optimizer(), model)
    return Trainer(
        model,
        device,
        torch.nn.CrossEntropyLoss(),
        adamw,
        train,
        EvalLoader(images, labels, normalise, 64),
        scheduler=build_schedule(schedule(), adamw, len(train), 3, VAL_LOSS),
        precision=precision,
        seed=0,
    )


def train(
    device: torch.device,
    precision: str = "fp32",
    epochs: int = 3,
    autosave: Autosave | None = None,
) -> Outcome:
    return fit(build_trainer(device, precision), epochs, VAL_LOSS, autosave=autosave)


def test_gpu_training_equals_cpu_training():
    on_gpu, on_cpu = train(GPU), train(CPU)
    assert on_gpu.scores["val_accuracy"] == on_cpu.scores["val_accuracy"] == 1.0
    expected = pytest.approx(on_cpu.history[0]["train_loss"], rel=0.02)
    assert on_gpu.history[0]["train_loss"] == expected


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_on_gpu(precision):
    assert train(GPU, precision).scores["val_accuracy"] == 1.0


def test_gpu_training_resumes_from_state(tmp_path):
    states = StateFolder(tmp_path, "this training")
    train(GPU, epochs=2, autosave=Autosave(states, seconds=1e-6))
    resumed, whole = train(GPU, autosave=Autosave(states, seconds=1e9)), train(GPU)
    assert len(resumed.history) == 3
    expected = pytest.approx(whole.history[2]["train_loss"], rel=0.02)
    assert resumed.history[2]["train_loss"] == expected


def test_full_gpu_memory_halves_micro_batch():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 24 * 24, 2)).to(GPU)
    free, _ = torch.cuda.mem_get_info(GPU)

    def use_memory(images: Tensor) -> Tensor:
        torch.empty(len(images) * free // 20, dtype=torch.uint8, device=GPU)
        return model(images)

    images, micro_batch = torch.zeros(32, 3, 24, 24, device=GPU), MicroBatch()
    assert forward_in_micro_batches(use_memory, images, micro_batch).shape == (32, 2)
    assert micro_batch.size in (8, 16)


def test_job_sees_only_its_leased_gpu():
    program = (
        "import os, torch; from resomap.system.gpus import open_device; open_device('cuda'); "
        "print(torch.cuda.device_count(), os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    count, visible = done.stdout.split()
    assert count == "1"
    assert visible.startswith("GPU-")


# Last, because compiling takes half of the time that these tests have in benchmarks/gpu_check.sh.
@pytest.mark.parametrize("mode", ["cuda_graph", "compiled"])
def test_graph_and_compiled_pass_equal_eager(mode):
    torch.manual_seed(0)
    model = load_model_from_config("tiny_cnn", num_classes=2).to(GPU).eval()
    images = torch.randn(4, 3, 24, 24, device=GPU)
    variant = parse_variant(mode, "fp32", "channels_last")
    prepared, outputs = prepare_model(model, variant, GPU), []
    # A replay returns nothing: it writes into the output of its capture.
    prepared.register_forward_hook(lambda *arguments: outputs.append(arguments[2]))
    result = build_workload(prepared, variant, images).run()
    torch.cuda.synchronize()
    with torch.inference_mode():
        expected = model(images)
    torch.testing.assert_close(outputs[-1] if result is None else result, expected)
