"""How many images go through the network in one pass, and what happens where they do not fit."""

from collections.abc import Callable
from typing import TypeVar

import torch

from resomap.errors import DeviceError
from resomap.system.gpu_memory import slot_memory_mib
from resomap.system.out_of_memory import attempt, free_memory

CPU_PIXELS = 2**17  # larger passes are up to twice as slow on a CPU
CUDA_PIXELS = 2**23  # 167 images of 224 px: smaller passes may leave a large card idle
# Memory per pixel of a pass, forward and backward: a VGG-16 takes about 2,000 bytes.
CUDA_BYTES_PER_PIXEL = 2**13
Result = TypeVar("Result")


def pixels_per_pass(device: torch.device) -> int:
    """Return the pixels of one pass on `device`: by this job's memory of a GPU, to CUDA_PIXELS."""
    if device.type != "cuda":
        return CPU_PIXELS
    fitting = int(slot_memory_mib(device) * 2**20) // CUDA_BYTES_PER_PIXEL
    return max(CPU_PIXELS, min(CUDA_PIXELS, fitting))


class PassSize:
    """The images of side `resolution` in one pass, halved whenever memory runs out."""

    def __init__(self, resolution: int, device: torch.device) -> None:
        self.images = max(1, pixels_per_pass(device) // resolution**2)

    def run(self, work: Callable[[int], Result]) -> Result:
        """Return `work(images)`, repeated with half as many images while they do not fit.

        DeviceError where one image does not fit.
        """
        while isinstance(outcome := attempt(lambda: work(self.images)), str):
            if self.images == 1:
                raise DeviceError(
                    "config/explainability.yaml: explainability: not even one image fits into "
                    "the memory of the device: use a larger one, or leave out methods"
                )
            self.images //= 2
            free_memory()
        return outcome[0]
