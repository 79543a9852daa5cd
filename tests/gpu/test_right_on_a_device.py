"""What a training on a GPU shares with one on a CPU.

RESOMAP_TEST_DEVICE=cpu rehearses the tests where there is no GPU (benchmarks/gpu_check.sh).
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.gpu.steps import AUGMENTATION, Setting, StepsDone, build, configure, stop_after
from resomap.config.schema import Config
from resomap.data.loading.loader import TrainLoader
from resomap.system.determinism import CUBLAS_VARIABLE, CUBLAS_WORKSPACE, choose_kernels
from resomap.system.precision import allow_tf32, tf32_of
from resomap.training.trainer import Trainer

# cuBLAS reads it when it starts.
os.environ.setdefault(CUBLAS_VARIABLE, CUBLAS_WORKSPACE)
ALL_AUGMENTATIONS = {"augmentation": AUGMENTATION, "precision": "fp32"}
SIDE, BATCH_SIZE = 32, 8


@pytest.fixture
def device() -> torch.device:
    name = os.environ.get("RESOMAP_TEST_DEVICE", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(name)


@pytest.fixture
def gpu(device) -> torch.device:
    if device.type != "cuda":
        pytest.skip("needs a CUDA device")
    return device


@pytest.fixture(autouse=True)
def restored_flags(restored_tf32) -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = torch.backends.cudnn.benchmark = False


def make_trainer(device: torch.device, model: str = "tiny_cnn", **training: Any) -> Trainer:
    """Return a trainer with all augmentations, in strict float32 unless `training` says otherwise."""
    setting = Setting("test", {**ALL_AUGMENTATIONS, **training}, {"cudnn_benchmark": False})
    return build(model, SIDE, setting, config_of(device, setting))


def config_of(device: torch.device, setting: Setting) -> Config:
    return configure(device.type, BATCH_SIZE, setting)


def train_steps(trainer: Trainer, count: int, epoch: int = 0) -> None:
    """Train `count` steps of an epoch."""
    stop_after(trainer, count)
    trainer.train_loader.set_epoch(epoch)
    with pytest.raises(StepsDone):
        trainer.train_epoch(epoch)


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    state = trainer.model.state_dict()
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def forbid_waits(device: torch.device, mode: str) -> None:
    """Let torch raise where the host waits for a GPU (`error`), or not (`default`)."""
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode(mode)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_step_never_waits_for_the_device(device, precision):
    trainer = make_trainer(device, precision=precision, ema_decay=0.9, clip_norm=1.0)
    steps = []

    def count_step() -> None:
        steps.append(1)
        if len(steps) == 2:  # libraries initialise in the first steps
            forbid_waits(device, "error")
        if len(steps) == 6:
            raise StepsDone

    trainer.step_hook = count_step
    trainer.train_loader.set_epoch(0)
    try:
        with pytest.raises(StepsDone):
            trainer.train_epoch(0)
    finally:
        forbid_waits(device, "default")


def test_deterministic_training_resumes_to_the_same_bytes(device):
    # A network with dropout whose operators all have a deterministic kernel (VGG's have not).
    whole, first, second = (make_trainer(device, "mobilenet_v2") for _ in range(3))
    # Afterwards: building a trainer chooses the kernels of its own setting.
    choose_kernels(device, benchmark=False, deterministic=True)
    for epoch in (0, 1):
        train_steps(whole, 2, epoch)
    train_steps(first, 2, 0)
    second.load_state_dict(first.state_dict())
    train_steps(second, 2, 1)
    assert torch.are_deterministic_algorithms_enabled() == (device.type == "cuda")
    expected = weights_of(whole)
    for name, tensor in weights_of(second).items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pin_memory", [False, True])
def test_images_on_the_host_give_the_same_batches(device, workers, pin_memory):
    runtime = {"num_workers": workers, "pin_memory": pin_memory}
    resident = make_trainer(device)
    setting = Setting("host", ALL_AUGMENTATIONS, runtime, on_host=True)
    hosted = build("tiny_cnn", SIDE, setting, config_of(device, setting))
    pairs = zip(first_batches(resident), first_batches(hosted), strict=True)
    for (images, labels), (other_images, other_labels) in pairs:
        assert torch.equal(images.to(device), other_images.to(device))
        assert torch.equal(labels.to(device), other_labels.to(device))


def first_batches(trainer: Trainer, count: int = 3) -> list[tuple[Tensor, Tensor]]:
    loader: TrainLoader = trainer.train_loader
    loader.set_epoch(0)
    return [batch for batch, _ in zip(loader, range(count), strict=False)]


def test_augmentation_equals_that_of_a_cpu(device):
    batches = first_batches(make_trainer(device))
    expected = first_batches(make_trainer(torch.device("cpu")))
    for (images, labels), (cpu_images, cpu_labels) in zip(batches, expected, strict=True):
        assert torch.equal(labels.cpu(), cpu_labels)
        # Rounding to bytes between the steps may differ by a grey level in single pixels.
        difference = (images.cpu() - cpu_images).abs()
        assert difference.mean() < 1e-3
        assert (difference > 0.05).float().mean() < 1e-3


@pytest.mark.parametrize("rows", [256, 1024])
def test_fp32_is_strict_and_tf32_is_not(device, rows):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(rows, rows, generator=generator).to(device) for _ in "ab")
    exact = left.double() @ right.double()
    errors = {}
    for precision in ("fp32", "tf32"):
        with tf32_of(precision):
            errors[precision] = ((left @ right - exact).abs().max() / exact.abs().max()).item()
    assert errors["fp32"] < 1e-5
    if device.type == "cuda":
        assert errors["tf32"] > 10 * errors["fp32"]


@pytest.mark.parametrize("model", ["resnet18", "vgg11"])
def test_full_memory_halves_the_micro_batch_of_a_step(gpu, model):
    allow_tf32(False)
    setting = Setting("large", {"precision": "fp32", "batch_size": 2048})
    trainer = build(model, 64, setting, configure("cuda", 2048, setting))
    total = torch.cuda.get_device_properties(gpu).total_memory
    share = (torch.cuda.memory_allocated(gpu) + 3e9) / total
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        train_steps(trainer, 1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert trainer.micro_batch.size
    assert trainer.micro_batch.size <= 1024
    assert all(torch.isfinite(weight).all() for weight in trainer.model.parameters())
