"""GPUs are leased: never two jobs on one slot, never a slot lost, whoever is killed."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import pytest

from resomap.system import gpus
from resomap.system.gpus import (
    SLOTS_VARIABLE,
    Gpu,
    Lease,
    lease_gpus,
    lease_holders,
    lease_until_exit,
    visible_gpus,
)

ROOT = Path(__file__).parents[2]
FAKE = ("GPU-a", "GPU-b")
# A job: leases, signs each of its slots, works for a moment, and takes its signatures back. It exits with 9 if a living job has signed.
JOB = """
import os, sys, time
from pathlib import Path
from resomap.system.gpus import lease_gpus

def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False

folder, count, slots, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
lease = lease_gpus(["GPU-a", "GPU-b"], count, slots=slots, folder=folder / "leases")
marks = [folder / "owners" / Path(lock.name if isinstance(lock.name, str) else os.readlink(f"/proc/self/fd/{lock.fileno()}")).name for lock in lease.locks]
marks = [mark for mark in marks if slots == 1 or "slot" in mark.name]
for mark in marks:
    if mark.exists() and mark.read_text() and lives(int(mark.read_text())):
        sys.exit(9)
    mark.write_text(str(os.getpid()))
time.sleep(seconds)
for mark in marks:
    mark.write_text("")
"""


def run_jobs(
    folder: Path, jobs: int, at_once: int, kills: float, seed: int = 0
) -> dict[int, int]:
    """Run so many jobs, some on a slot, some on a whole GPU, some on both; kill a share of them. Returns how often each code came back."""
    (folder / "owners").mkdir(parents=True)
    rng, running, codes = (
        random.Random(seed),
        list[tuple[subprocess.Popen, float]](),
        dict[int, int](),
    )
    deadline = monotonic() + 300
    while jobs or running:
        assert monotonic() < deadline, "the leases hang"
        while jobs and len(running) < at_once:
            jobs -= 1
            count, slots = rng.choice([(1, 2), (1, 2), (1, 2), (1, 1), (2, 1)])
            command = [
                sys.executable,
                "-c",
                JOB,
                str(folder),
                str(count),
                str(slots),
                str(rng.uniform(0, 0.1)),
            ]
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
def test_two_jobs_never_share_a_slot_and_no_slot_is_lost_when_jobs_are_killed(tmp_path, jobs):
    codes = run_jobs(tmp_path, jobs, at_once=8, kills=0.3)
    assert set(codes) <= {0, -9}, codes
    assert codes[0] + codes[-9] == jobs
    assert codes[-9] > jobs / 20
    slots = [lease_gpus(FAKE, slots=2, folder=tmp_path / "leases") for _ in range(4)]
    assert sorted(lease.uuids[0] for lease in slots) == ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]
    for lease in slots:
        give_back(lease)


def test_who_holds_a_gpu_can_be_asked(tmp_path):
    lease = lease_gpus(FAKE, slots=2, folder=tmp_path)
    (told,) = lease_holders("GPU-a", tmp_path)
    assert (told["pid"], told["about"]) == (os.getpid(), "slot 0")
    assert list(lease_holders("GPU-b", tmp_path)) == []
    whole = lease_gpus(["GPU-b"], folder=tmp_path)
    assert [told["about"] for told in lease_holders("GPU-b", tmp_path)] == ["the whole GPU"]
    give_back(lease)
    give_back(whole)
    assert list(lease_holders("GPU-a", tmp_path)) == []


def give_back(lease: Lease) -> None:
    for lock in lease.locks:
        lock.close()


@pytest.fixture
def cards(monkeypatch, tmp_path) -> Iterator[None]:
    """Three cards in a machine of which this process holds nothing."""
    held = list[IO[str]]()
    monkeypatch.setattr(
        gpus,
        "list_gpus",
        lambda: [Gpu(number, f"GPU-{number}{number}", "card", 80000) for number in range(3)],
    )
    monkeypatch.setattr(gpus, "_leased_locks", held)
    monkeypatch.setattr(lease_gpus, "__kwdefaults__", {"slots": 1, "folder": tmp_path})
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", SLOTS_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    for lock in held:
        lock.close()


def test_a_job_sees_only_what_it_leased(monkeypatch, cards):
    lease_until_exit("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-00"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    lease_until_exit("cuda")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-11"


@pytest.mark.parametrize(
    ("name", "value"), [("SLURM_JOB_ID", "7"), ("TORCHELASTIC_RUN_ID", "none")]
)
def test_a_job_that_was_given_gpus_leases_none(monkeypatch, cards, name, value):
    monkeypatch.setenv(name, value)
    lease_until_exit("cuda")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_slurm_job_with_just_its_gpus_keeps_them(monkeypatch, cards):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    lease_until_exit("cuda", 2)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,2"


def test_in_a_slurm_allocation_of_several_gpus_jobs_share_them_out(monkeypatch, cards):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    taken = []
    for _ in range(2):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
        lease_until_exit("cuda")
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["GPU-11", "GPU-22"]


def test_a_cpu_job_leases_none(cards):
    lease_until_exit("cpu")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("named", "numbers"),
    [("0", [0]), ("1,0", [0, 1]), ("GPU-11", [1]), ("", []), ("7", []), (None, [0, 1, 2])],
)
def test_a_choice_that_the_user_made_is_kept(monkeypatch, cards, named, numbers):
    if named is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert [gpu.number for gpu in visible_gpus(gpus.list_gpus())] == numbers


def test_more_gpus_than_there_are_is_an_error_that_names_the_key(cards):
    with pytest.raises(gpus.DeviceError, match=r"system\.training\.gpus: 4, but there are 3"):
        lease_until_exit("cuda", 4)
