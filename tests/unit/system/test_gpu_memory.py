import pytest
import torch

from resomap.system import gpu_memory
from resomap.system.gpu_memory import CONTEXT_MIB, limit_memory_to_slot, slot_fraction
from resomap.system.gpus import SLOTS_VARIABLE

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture
def limits(monkeypatch):
    """Return the limits that are set on a GPU of 8 GiB."""
    limits = list[float]()
    monkeypatch.setattr(gpu_memory, "device_memory_mib", lambda _: 8192)

    def set_fraction(fraction: float, index: int | None) -> None:
        # torch raises ValueError for a plain `cuda`, which has no index, and takes None.
        assert index is None
        limits.append(fraction)

    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", set_fraction)
    return limits


@pytest.mark.parametrize("slots", [2, 3, 7])
def test_slots_and_their_contexts_fit_together(slots):
    allocated = slots * slot_fraction(8192, slots) * 8192
    assert allocated + slots * CONTEXT_MIB == pytest.approx(8192)


def test_slot_smaller_than_a_context_is_empty():
    assert slot_fraction(1024, 4) == 0


def test_job_of_a_shared_gpu_is_limited(limits, monkeypatch):
    monkeypatch.setenv(SLOTS_VARIABLE, "4")
    limit_memory_to_slot(GPU)
    assert limits == [0.25 - CONTEXT_MIB / 8192]


@pytest.mark.parametrize(
    ("slots", "device", "processes"), [("1", GPU, 1), ("4", CPU, 1), ("4", GPU, 2)]
)
def test_job_with_whole_device_is_not_limited(limits, monkeypatch, slots, device, processes):
    monkeypatch.setenv(SLOTS_VARIABLE, slots)
    limit_memory_to_slot(device, processes)
    assert limits == []
