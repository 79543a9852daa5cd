"""Devices and GPU leases: two jobs never share a slot, and killed jobs lose none."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import pytest
import torch

from resomap.errors import DeviceError
from resomap.system import gpus
from resomap.system.gpu_listing import Gpu, visible_gpus
from resomap.system.gpus import (
    SLOTS_VARIABLE,
    Lease,
    device_name,
    lease_gpus,
    lease_holders,
    lease_until_exit,
    open_device,
)

ROOT = Path(__file__).parents[3]
FAKE = ("GPU-a", "GPU-b")
# A job that leases GPUs, marks each slot as its own for a moment, and exits with 9 if a live job
# has already marked one.
JOB = """
import os, sys, time
from pathlib import Path
from resomap.system.gpus import lease_gpus

def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False

folder = Path(sys.argv[1])
count, slots, seconds = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
lease = lease_gpus(["GPU-a", "GPU-b"], count, slots=slots, folder=folder / "leases")
names = [Path(os.readlink(f"/proc/self/fd/{lock.fileno()}")).name for lock in lease.locks]
marks = [folder / "owners" / name for name in names if slots == 1 or "slot" in name]
for mark in marks:
    if mark.exists() and mark.read_text() and is_alive(int(mark.read_text())):
        sys.exit(9)
    mark.write_text(str(os.getpid()))
time.sleep(seconds)
for mark in marks:
    mark.write_text("")
"""


def run_jobs(
    folder: Path, jobs: int, at_once: int, kills: float, seed: int = 0
) -> dict[int, int]:
    """Run jobs on slots, whole GPUs or both, and kill a share of them; count their exit codes."""
    (folder / "owners").mkdir(parents=True)
    rng, codes = random.Random(seed), dict[int, int]()
    running: list[tuple[subprocess.Popen, float]] = []
    deadline = monotonic() + 300
    while jobs or running:
        assert monotonic() < deadline, "the leases hang"
        while jobs and len(running) < at_once:
            jobs -= 1
            count, slots = rng.choice([(1, 2), (1, 2), (1, 2), (1, 1), (2, 1)])
            arguments = map(str, (folder, count, slots, rng.uniform(0, 0.1)))
            command = [sys.executable, "-c", JOB, *arguments]
            dies_at = monotonic() + rng.uniform(0.05, 0.6) if rng.random() < kills else deadline
            running.append((subprocess.Popen(command, cwd=ROOT), dies_at))
        for process, dies_at in list(running):
            if process.poll() is not None:
                running.remove((process, dies_at))
                codes[process.returncode] = codes.get(process.returncode, 0) + 1
            elif monotonic() > dies_at:
                process.kill()
        sleep(0.005)
    return codes


@pytest.mark.parametrize("jobs", [40, pytest.param(200, marks=pytest.mark.faults)])
def test_killed_jobs_share_and_lose_no_slot(tmp_path, jobs):
    codes = run_jobs(tmp_path, jobs, at_once=8, kills=0.3)
    assert set(codes) <= {0, -9}, codes
    assert codes[0] + codes[-9] == jobs
    assert codes[-9] > jobs / 20
    slots = [lease_gpus(FAKE, slots=2, folder=tmp_path / "leases") for _ in range(4)]
    assert sorted(lease.uuids[0] for lease in slots) == ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]
    for lease in slots:
        release(lease)


def test_lease_holders_are_listed_until_release(tmp_path):
    lease = lease_gpus(FAKE, slots=2, folder=tmp_path)
    (owner,) = lease_holders("GPU-a", tmp_path)
    assert (owner["pid"], owner["purpose"]) == (os.getpid(), "slot 0")
    assert list(lease_holders("GPU-b", tmp_path)) == []
    whole = lease_gpus(["GPU-b"], folder=tmp_path)
    (owner,) = lease_holders("GPU-b", tmp_path)
    assert owner["purpose"] == "the whole GPU"
    release(lease)
    release(whole)
    assert list(lease_holders("GPU-a", tmp_path)) == []


def release(lease: Lease) -> None:
    for lock in lease.locks:
        lock.close()


@pytest.fixture
def three_gpus(monkeypatch, tmp_path) -> Iterator[None]:
    """A machine with three GPUs, none of them leased."""
    locks: list[IO[str]] = []
    monkeypatch.setattr(
        gpus,
        "list_gpus",
        lambda: [Gpu(number, f"GPU-{number}{number}", "GPU", 80000) for number in range(3)],
    )
    monkeypatch.setattr(gpus, "_leased_locks", locks)
    monkeypatch.setattr(lease_gpus, "__kwdefaults__", {"slots": 1, "folder": tmp_path})
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", SLOTS_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    for lock in locks:
        lock.close()


def test_job_sees_only_leased_gpu(monkeypatch, three_gpus):
    lease_until_exit("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-00"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    lease_until_exit("cuda")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-11"


def test_process_of_torchrun_leases_none(monkeypatch, three_gpus):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    lease_until_exit("cuda")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_slurm_jobs_without_named_gpus_lease_different_ones(monkeypatch, three_gpus):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    leased = []
    for _ in range(2):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        lease_until_exit("cuda")
        leased.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert leased == ["GPU-00", "GPU-11"]


def test_slurm_job_keeps_exactly_its_gpus(monkeypatch, three_gpus):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    lease_until_exit("cuda", 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,2"


def test_jobs_in_slurm_allocation_lease_different_gpus(monkeypatch, three_gpus):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    leased = []
    for _ in range(2):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
        lease_until_exit("cuda")
        leased.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert leased == ["GPU-11", "GPU-22"]


def test_cpu_job_leases_none(three_gpus):
    lease_until_exit("cpu")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("variable", "numbers"),
    [("0", [0]), ("1,0", [0, 1]), ("GPU-11", [1]), ("", []), ("7", []), (None, [0, 1, 2])],
)
def test_visible_gpus_respect_environment_variable(monkeypatch, three_gpus, variable, numbers):
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert [gpu.number for gpu in visible_gpus(gpus.list_gpus())] == numbers


def test_more_gpus_than_available_are_refused(three_gpus):
    with pytest.raises(DeviceError, match=r"system\.training\.gpus: 4, but this machine has 3"):
        lease_until_exit("cuda", 4)


@pytest.fixture
def mig_slices(monkeypatch, three_gpus) -> None:
    """A machine with one card cut into two slices."""
    slices = [Gpu(0, f"MIG-GPU-0/{part}/0", "GPU MIG 3g.20gb", 20480) for part in (1, 2)]
    monkeypatch.setattr(gpus, "list_gpus", lambda: slices)


def test_jobs_lease_different_slices(monkeypatch, mig_slices, tmp_path):
    for part in (1, 2):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        lease_until_exit("auto")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == f"MIG-GPU-0/{part}/0"
        (owner,) = lease_holders(f"MIG-GPU-0/{part}/0", tmp_path)
        assert owner["pid"] == os.getpid()


def test_slices_cannot_train_together(mig_slices):
    with pytest.raises(DeviceError, match="has 0 \\(MIG slices do not count"):
        lease_until_exit("cuda", 2)


@pytest.mark.parametrize(("present", "visible"), [(True, None), (True, "7"), (False, None)])
def test_unlisted_gpu_is_warned_about(monkeypatch, three_gpus, capsys, present, visible):
    monkeypatch.setattr(gpus, "list_gpus", list)
    monkeypatch.setattr(gpus, "has_nvidia_device", lambda: present)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    lease_until_exit("auto")
    assert ("leases no GPU" in capsys.readouterr().err) == present
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


def test_hidden_gpus_are_not_warned_about(monkeypatch, three_gpus, capsys):
    monkeypatch.setattr(gpus, "has_nvidia_device", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    lease_until_exit("auto")
    assert capsys.readouterr().err == ""


@pytest.fixture
def no_lease(monkeypatch) -> Iterator[None]:
    """Keep this process from leasing a GPU until it ends, and restore its threads."""
    monkeypatch.setattr(gpus, "lease_until_exit", lambda *arguments, **options: None)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_open_device_sets_threads(no_lease):
    device = open_device("cpu", threads=2)
    assert (device.type, device_name(device), torch.get_num_threads()) == ("cpu", "cpu", 2)


def test_missing_cuda_device_is_refused(monkeypatch, no_lease):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=r"system\.device: cuda"):
        open_device("cuda")
    assert open_device("auto").type == "cpu"


@pytest.mark.gpu
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_open_device_returns_available_gpu(no_lease, device):
    opened = open_device(device)
    assert opened.type == "cuda"
    assert device_name(opened) == torch.cuda.get_device_name()
