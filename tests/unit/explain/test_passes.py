import pytest
import torch

from resomap.errors import DeviceError
from resomap.explain import passes
from resomap.explain.passes import CPU_PIXELS, CUDA_PIXELS, PassSize, pixels_per_pass
from resomap.system import gpu_memory
from resomap.system.gpus import SLOTS_VARIABLE

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("memory_mib", "pixels"),
    [(81559, CUDA_PIXELS), (143771, CUDA_PIXELS), (24576, 3_145_728), (512, CPU_PIXELS)],
)
def test_pass_on_a_gpu_grows_with_its_memory(monkeypatch, memory_mib, pixels):
    monkeypatch.setattr(gpu_memory, "device_memory_mib", lambda _: memory_mib)
    assert pixels_per_pass(CUDA) == pixels


def test_pass_on_a_shared_gpu_fits_into_a_slot(monkeypatch):
    monkeypatch.setattr(gpu_memory, "device_memory_mib", lambda _: 24576)
    monkeypatch.setenv(SLOTS_VARIABLE, "4")
    # A quarter without a context of 512 MiB: 5,632 MiB.
    assert pixels_per_pass(CUDA) * passes.CUDA_BYTES_PER_PIXEL == 5632 * 2**20


def test_pass_on_a_cpu_is_small():
    assert pixels_per_pass(CPU) == 2**17
    assert [PassSize(side, CPU).images for side in (32, 224, 512)] == [128, 2, 1]


@pytest.mark.parametrize("limit", [1, 3, 31, 32])
def test_pass_is_halved_until_it_fits(limit):
    passes_of_64px, tried = PassSize(64, CPU), []

    def work(images: int) -> str:
        tried.append(images)
        if images > limit:
            raise RuntimeError("CUDA error: out of memory")
        return "done"

    assert passes_of_64px.run(work) == "done"
    assert tried[-1] <= limit < 2 * tried[-1] + 1
    tried.clear()
    assert passes_of_64px.run(work) == "done"
    assert len(tried) == 1  # what did not fit is not tried again


def test_image_that_does_not_fit_is_an_error():
    def work(_images: int) -> None:
        raise torch.OutOfMemoryError("full")

    with pytest.raises(DeviceError, match="not even one image fits"):
        PassSize(224, CPU).run(work)


def test_other_errors_are_not_repeated():
    def work(_images: int) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        PassSize(224, CPU).run(work)
