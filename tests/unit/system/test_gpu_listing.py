"""What nvidia-smi prints, read from a script in its place."""

import os

import pytest

from resomap.system import gpu_listing
from resomap.system.gpu_listing import Gpu, list_gpus, visible_gpus

MEMORY = "0, GPU-aa, NVIDIA H100 80GB HBM3, 81559"
LISTING = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa)
  MIG 3g.20gb     Device  0: (UUID: MIG-11)
  MIG 1g.5gb+me   Device  1: (UUID: MIG-GPU-aa/9/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb)
"""


@pytest.fixture
def fake_nvidia_smi(monkeypatch, tmp_path):
    """Return a function that puts a script named nvidia-smi first on the path."""

    def install(script: str) -> None:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return install


def test_gpus_are_listed_with_their_memory(fake_nvidia_smi):
    fake_nvidia_smi(f'echo "{MEMORY}, Disabled"')
    assert list_gpus() == [Gpu(0, "GPU-aa", "NVIDIA H100 80GB HBM3", 81559)]


def test_old_driver_without_mig_field_lists_gpus(fake_nvidia_smi):
    fake_nvidia_smi(f'case "$*" in *mig*) exit 2;; esac; echo "{MEMORY}"')
    assert [gpu.memory_mib for gpu in list_gpus()] == [81559]


@pytest.mark.parametrize("memory", ["[N/A]", "[Not Supported]", ""])
def test_shared_memory_is_that_of_the_machine(fake_nvidia_smi, memory):
    fake_nvidia_smi(f'echo "0, GPU-aa, NVIDIA GB10, {memory}, [N/A]"')
    assert [gpu.memory_mib for gpu in list_gpus()] == [gpu_listing.machine_memory_mib()]


def test_card_in_mig_mode_is_replaced_by_its_slices(fake_nvidia_smi, monkeypatch, tmp_path):
    (tmp_path / "listing").write_text(LISTING)
    rows = "0, GPU-aa, A100, 40960, Enabled\\n1, GPU-bb, A100, 40960, Disabled\\n"
    fake_nvidia_smi(f'case "$1" in -L) cat {tmp_path}/listing;; *) printf "{rows}";; esac')
    gpus = list_gpus()
    assert [(gpu.uuid, gpu.memory_mib, gpu.is_slice) for gpu in gpus] == [
        ("MIG-11", 20480, True),
        ("MIG-GPU-aa/9/0", 5120, True),
        ("GPU-bb", 40960, False),
    ]
    for variable, uuids in {
        "MIG-11": ["MIG-11"],
        "MIG-GPU-aa/9/0,1": ["MIG-GPU-aa/9/0", "GPU-bb"],
    }.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
        assert [gpu.uuid for gpu in visible_gpus(gpus)] == uuids


@pytest.mark.parametrize(
    "script", ["exit 9", "echo 'No devices were found'", "exec sleep 5", "echo 'a, b, c, d'"]
)
def test_driver_in_trouble_lists_nothing(fake_nvidia_smi, monkeypatch, script):
    monkeypatch.setattr(gpu_listing, "TIMEOUT_SECONDS", 0.5)
    fake_nvidia_smi(script)
    assert list_gpus() == []


def test_missing_nvidia_smi_lists_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_gpus() == []
