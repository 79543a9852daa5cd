import errno
import itertools
import mmap
import os
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from resomap.errors import ResoMapError
from resomap.models import load_model_from_config
from resomap.profiling.memory import (
    MIB,
    LiveMemory,
    activation_bytes,
    growth_bytes,
    model_bytes,
    resident_growths,
)

torch.set_num_threads(1)
CPU = torch.device("cpu")


class Hungry(nn.Module):
    """Maps, touches and unmaps `mib` MiB in a forward pass, without torch's knowledge."""

    def __init__(self, mib: int) -> None:
        super().__init__()
        self.mib = mib

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with mmap.mmap(-1, self.mib * MIB) as block:
            for offset in range(0, len(block), mmap.PAGESIZE):
                block[offset] = 1
        return images.sum()


@pytest.mark.parametrize("mib", [64, 200])
def test_planted_allocation_is_measured_within_5_percent(mib):
    model, images = Hungry(mib), torch.zeros(1, 3, 8, 8)
    growth = growth_bytes(lambda: model(images), CPU)
    assert growth.least / MIB == pytest.approx(mib, rel=0.05)
    assert growth.highest / MIB == pytest.approx(mib, rel=0.05)
    assert growth.reserved is None


def test_memory_freed_before_does_not_hide_growth():
    block = bytearray(100 * MIB)
    del block
    growth = min(resident_growths(lambda: bytearray(50 * MIB)))
    assert growth / MIB == pytest.approx(50, rel=0.05)


def test_highest_of_repetitions_is_kept():
    # In turn, as a call during which pages of files moved is repeated.
    sizes = itertools.cycle([20, 40])
    growth = growth_bytes(lambda: bytearray(next(sizes) * MIB), CPU)
    assert growth.least / MIB == pytest.approx(20, rel=0.05)
    assert growth.highest / MIB == pytest.approx(40, rel=0.05)


def test_pass_takes_about_its_activations():
    model = load_model_from_config("tiny_cnn", num_classes=8).eval()
    images = torch.randn(16, 3, 96, 96)
    with torch.inference_mode():
        growth = growth_bytes(lambda: model(images), CPU).least
    activations = activation_bytes(model, images)
    assert activations <= growth < 1.6 * activations  # above them: scratch memory of kernels


def test_free_blocks_of_the_heap_do_not_hold_what_a_pass_frees():
    script = """
import torch
from resomap.profiling.memory import MIB, resident_growths
from resomap.system.gpus import keep_freed_memory

torch.set_num_threads(1)
keep_freed_memory()
blocks = [torch.ones(MIB) for _ in range(60)]
del blocks[::2]

def run():
    for mib in (3, 4, 5, 6, 7, 8):
        torch.ones(mib * MIB // 4)

print(min(resident_growths(run)) / MIB)
"""
    # In a process of its own, since malloc's options last as long as the process.
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(output) == pytest.approx(8, rel=0.05)


def test_pages_of_mapped_files_are_not_counted(tmp_path):
    path, kept = tmp_path / "library", []
    path.write_bytes(bytes(64 * MIB))

    def run() -> bytearray:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        kept.append((mapped, sum(mapped[:: mmap.PAGESIZE])))
        return bytearray(20 * MIB)

    assert min(resident_growths(run)) / MIB == pytest.approx(20, rel=0.05)


def test_dying_fork_raises():
    with pytest.raises(RuntimeError, match="measured memory ended with status 1"):
        resident_growths(lambda: 1 / 0)


def test_fork_ended_by_a_signal_names_it():
    measuring = os.getpid()

    def end_fork() -> None:
        if os.getpid() != measuring:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(ResoMapError, match="SIGTERM ended the process that measures memory"):
        resident_growths(end_fork)


def test_fork_that_is_killed_once_measures_again(tmp_path):
    measuring, mark = os.getpid(), tmp_path / "killed"

    def kill_first_fork() -> bytearray:
        if os.getpid() != measuring and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return bytearray(20 * MIB)

    assert min(resident_growths(kill_first_fork)) / MIB == pytest.approx(20, rel=0.05)


def test_model_bytes_respect_each_dtype():
    model = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False).to(torch.bfloat16), nn.BatchNorm2d(4))
    assert model_bytes(model) == 12 * 2 + 4 * 4 * 4 + 8


def test_peak_holds_input_and_output_of_widest_layer():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 1, 1), nn.ReLU())
    assert activation_bytes(model, torch.zeros(2, 3, 8, 8)) == 2 * (2 * 4 * 8 * 8 * 4)


def test_in_place_activation_takes_no_memory():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    assert activation_bytes(model, torch.zeros(2, 3, 8, 8)) == 2 * 4 * 8 * 8 * 4


def test_training_pass_keeps_activations_for_backward():
    first, second = (nn.Conv2d(channels, 4, 1, bias=False) for channels in (3, 4))
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
    images, layer = torch.zeros(2, 3, 8, 8), 2 * 4 * 8 * 8 * 4
    assert activation_bytes(model, images, training=True) >= 3 * layer
    assert activation_bytes(model, images) == 2 * layer


@pytest.mark.parametrize("name", ["tiny_cnn", "mobilenet_v3_small"])
def test_meta_device_agrees_with_cpu(name: str):
    model = load_model_from_config(name, num_classes=8).eval()
    images = torch.randn(2, 3, 64, 64)
    excluded = [*model.parameters(), *model.buffers(), images]
    with torch.inference_mode(), LiveMemory(excluded=excluded) as memory:
        logits = model(images)
    assert memory.live == logits.nbytes
    assert activation_bytes(model, images) == memory.peak


def test_activations_grow_linearly_with_batch():
    model = load_model_from_config("tiny_cnn", num_classes=8)
    peaks = [activation_bytes(model, torch.zeros(count, 3, 32, 32)) for count in (1, 2, 3)]
    assert peaks[2] - peaks[1] == peaks[1] - peaks[0] > 0


def test_earlier_cells_are_no_part_of_reserved_memory(monkeypatch):
    memory = {"allocated": 100, "reserved": 900, "peak": 900}
    cuda = torch.cuda

    def empty_cache() -> None:
        memory["reserved"] = memory["allocated"]

    def reset() -> None:
        memory["peak"] = memory["reserved"]

    def run() -> None:
        memory["peak"] = max(memory["peak"], memory["allocated"] + 60)

    monkeypatch.setattr(cuda, "synchronize", lambda _: None)
    monkeypatch.setattr(cuda, "empty_cache", empty_cache)
    monkeypatch.setattr(cuda, "reset_peak_memory_stats", lambda _: reset())
    monkeypatch.setattr(cuda, "memory_allocated", lambda _: memory["allocated"])
    monkeypatch.setattr(cuda, "memory_reserved", lambda _: memory["reserved"])
    monkeypatch.setattr(cuda, "max_memory_allocated", lambda _: memory["allocated"] + 50)
    monkeypatch.setattr(cuda, "max_memory_reserved", lambda _: memory["peak"])
    assert growth_bytes(run, torch.device("cuda")) == (50, 60, 50)


def exhaust_memory() -> None:
    raise torch.OutOfMemoryError("full")


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("run", "status"), [(exhaust_memory, errno.ENOMEM), (kill_this_process, -9)]
)
def test_lack_of_memory_in_fork_is_recognised(run, status):
    with pytest.raises(MemoryError, match=f"ended with status {status}"):
        resident_growths(run)
