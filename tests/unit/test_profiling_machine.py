"""What a profile says of this very machine: a crowd is noticed. (Planted times are measured by benchmarks/cost.py.)"""

import multiprocessing
import os
import time

import torch
from torch import nn

from resomap.config.schema import Profiling
from resomap.profiling.profile import profile_model

torch.set_num_threads(1)
CPU = torch.device("cpu")
SETTINGS = Profiling(
    cpu_threads=1, memory_format="channels_last", variants=("eager",), batch_size=2, batch_sweep=False, end_to_end=False, energy=False,
    warmup_seconds=0.01, rounds=5, round_seconds=0.05, target_relative_error=0.02, max_seconds=0.5,
)  # fmt: skip


class Spinning(nn.Module):
    """Does nothing until `ms` milliseconds are over."""

    def __init__(self, ms: float) -> None:
        super().__init__()
        self.ms, self.head = ms, nn.Linear(3, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        deadline = time.perf_counter() + self.ms / 1e3
        while not images.is_meta and time.perf_counter() < deadline:
            pass
        return self.head(images.mean((2, 3)))


def burn() -> None:
    while True:
        pass


def test_where_others_burn_every_core_each_measurement_is_marked_as_crowded():
    context = multiprocessing.get_context("spawn")
    neighbours = [
        context.Process(target=burn, daemon=True)
        for _ in range(2 * len(os.sched_getaffinity(0)))
    ]
    for neighbour in neighbours:
        neighbour.start()
    try:
        time.sleep(2.0)  # until they are all at work
        cells = profile_model(
            Spinning(1.0),
            (8, 16),
            SETTINGS.model_copy(update={"round_seconds": 0.2}),
            CPU,
            "fp32",
        )["cells"]
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.join()
    assert [(cell["valid"], cell["why_invalid"]) for cell in cells] == [(False, "crowded")] * 4
