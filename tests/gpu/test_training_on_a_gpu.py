"""What only a GPU can show."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resomap.data.loading.loader import EvalLoader, Normalise, TrainLoader, to_device
from resomap.data.loading.placement import DiskImages
from resomap.models.registry import load_model_from_config
from resomap.profiling.variants import build_workload, parse_variant, prepare_model
from resomap.training.autosave import Autosave
from resomap.training.fit import Outcome, fit
from resomap.training.memory import MicroBatch, forward_in_micro_batches
from resomap.training.optimizers import build_optimizer
from resomap.training.schedules import build_schedule
from resomap.training.states import StateFolder
from resomap.training.tally import Tally
from resomap.training.trainer import Trainer
from tests.recipes import EVERY_AUGMENTATION, augmentation, optimizer, schedule
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


class WithDropout(nn.Module):
    """A network that draws random numbers in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_model_from_config("tiny_cnn", num_classes=16)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(16, 2))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.head(self.network(images))


def build_trainer(
    device: torch.device, precision: str, *, dropout: bool = False, **options: Any
) -> Trainer:
    images, labels = build_images(device)
    normalise = Normalise(MEAN, STD, device)
    torch.manual_seed(0)
    model = WithDropout() if dropout else load_model_from_config("tiny_cnn", num_classes=2)
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
        **options,
    )


def train(
    device: torch.device,
    precision: str = "fp32",
    epochs: int = 3,
    autosave: Autosave | None = None,
    **options: Any,
) -> Outcome:
    trainer = build_trainer(device, precision, **options)
    return fit(trainer, epochs, VAL_LOSS, autosave=autosave)


@pytest.fixture
def deterministic_convolutions():
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    with flags:
        yield


def losses(outcome: Outcome) -> list[float]:
    return [row[name] for row in outcome.history for name in ("train_loss", "val_loss")]


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


@pytest.mark.usefixtures("deterministic_convolutions")
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize(
    "options",
    [{}, {"micro_batch": 8}, {"gradient_clip_norm": 0.1, "ema_decay": 0.9}],
    ids=str,
)
def test_graphed_training_equals_eager(options, precision, dropout):
    options = {"dropout": dropout, **options}
    graphed = train(GPU, precision, execution="cuda_graph", **options)
    eager = train(GPU, precision, execution="eager", **options)
    # Equal draws of dropout: other masks would change the first loss by more than a percent.
    assert losses(graphed) == pytest.approx(losses(eager), rel=1e-3)


@pytest.mark.usefixtures("deterministic_convolutions")
def test_first_graphed_step_equals_eager():
    states = []
    for execution in ("cuda_graph", "eager"):
        trainer = build_trainer(GPU, "fp32", dropout=True, execution=execution)
        trainer.train_loader = [next(iter(trainer.train_loader))]
        trainer.train_epoch(0)
        states.append(trainer.model.state_dict())
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=1e-5, atol=1e-6)


def test_graphed_training_resumes_from_state_of_eager(tmp_path):
    states = StateFolder(tmp_path, "this training")
    train(GPU, epochs=2, autosave=Autosave(states, seconds=1e-6), dropout=True)
    resumed = train(
        GPU,
        autosave=Autosave(states, seconds=1e9),
        dropout=True,
        execution="cuda_graph",
    )
    whole = train(GPU, dropout=True)
    assert losses(resumed) == pytest.approx(losses(whole), rel=0.02)


def test_compiled_training_equals_eager():
    compiled, eager = train(GPU, execution="compiled"), train(GPU)
    assert losses(compiled) == pytest.approx(losses(eager), rel=0.02)


def read_batches(images: Any, device: torch.device, *, pinned: bool = False) -> Tensor:
    labels = torch.arange(64, device=device)
    normalise = Normalise(MEAN, STD, device)
    train = TrainLoader(
        images, labels, normalise, 16, 0, EVERY_AUGMENTATION, pin_memory=pinned, num_workers=2
    )
    val = EvalLoader(images, labels, normalise, 16, pin_memory=pinned)
    return torch.cat([batch for batch, _ in [*train, *val]])


def test_resident_pinned_and_stored_images_give_same_bytes(tmp_path):
    images, _ = build_images(CPU)
    path = tmp_path / "train.npy"
    np.save(path, images.numpy())
    resident = read_batches(images.to(GPU), GPU)
    for placed in (images, DiskImages(path)):
        for pinned in (False, True):
            assert torch.equal(read_batches(placed, GPU, pinned=pinned), resident)


def test_augmented_images_equal_those_of_cpu():
    images, _ = build_images(CPU)
    on_gpu, on_cpu = read_batches(images.to(GPU), GPU).cpu(), read_batches(images, CPU)
    # The CPU rounds resampled images to whole levels, of which 64 are 1 here.
    assert (on_gpu - on_cpu).abs().quantile(0.99) < 2 / 64


@pytest.mark.parametrize("execution", ["eager", "cuda_graph"])
def test_steps_do_not_wait_for_gpu(execution):
    trainer = build_trainer(GPU, "bf16", dropout=True, execution=execution, ema_decay=0.9)
    trainer.train_epoch(0)  # libraries initialise, a graph is recorded
    tally, waited = Tally(GPU, trainer.group), []
    tally.epoch_metrics = dict  # reads the totals, once an epoch

    def watch() -> None:
        # Not before the first step: draws are copied once an epoch, from memory of any kind.
        waited.append(1)
        torch.cuda.set_sync_debug_mode("error")

    trainer.step_hook = watch
    try:
        trainer.train_epoch(1, tally)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waited) == 4


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
