"""Peaks of this device: matrix products at each precision, and a copy of its memory.

usage: python -m benchmarks.gpu.card [--device cuda] [--side 8192] [--gigabytes 4]

Prints versions and a table. The other parts measure the same peaks in their own process, so
that a roofline and what is compared with it come from one call on one card.
"""

import argparse
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter

import torch

from benchmarks.gpu.output import NOT_MEASURED, add_device_option, print_rows
from resomap.system.precision import allow_tf32, why_no_tf32

DTYPES = {"bf16": torch.bfloat16, "tf32": torch.float32, "fp32": torch.float32}
LIBRARIES = ("torch", "torchvision", "timm", "lightning", "numpy")
HEAD = ("what", "measured", "n", "lowest", "highest")
REPETITIONS, WARM_UPS = 10, 3


@dataclass(frozen=True)
class Peaks:
    """Operations per second by precision (None: not on this device), and bytes per second."""

    flops: dict[str, list[float] | None]
    bytes_per_second: list[float]

    def best_flops(self, precision: str) -> float | None:
        """Return the highest rate at a precision; fp16 counts as bf16, whose peak it shares."""
        rates = self.flops["bf16" if precision == "fp16" else precision]
        return max(rates) if rates else None


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_calls(
    call: Callable[[], object], device: torch.device, repetitions: int = REPETITIONS
) -> list[float]:
    """Return the seconds of each of `repetitions` calls, after some that do not count."""
    for _ in range(WARM_UPS):
        call()
    seconds = []
    for _ in range(repetitions):
        synchronise(device)
        start = perf_counter()
        call()
        synchronise(device)
        seconds.append(perf_counter() - start)
    return seconds


def measure_peaks(device: torch.device, side: int = 8192, gigabytes: float = 4) -> Peaks:
    """Multiply matrices of `side` x `side` numbers, and copy `gigabytes`."""
    flops = {precision: _matmul_rates(precision, device, side) for precision in DTYPES}
    allow_tf32(False)
    source = torch.zeros(int(gigabytes * 1e9), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = time_calls(lambda: target.copy_(source), device)
    # Each byte is read once and written once.
    return Peaks(flops, [2 * source.numel() / each for each in seconds])


def _matmul_rates(precision: str, device: torch.device, side: int) -> list[float] | None:
    if precision == "tf32" and why_no_tf32(device):
        return None
    allow_tf32(precision == "tf32")
    # Random numbers: a card draws less power for zeros and then runs faster.
    left, right = (torch.randn(side, side, device=device).to(DTYPES[precision]) for _ in "ab")
    return [2 * side**3 / each for each in time_calls(lambda: left @ right, device)]


def peak_rows(peaks: Peaks) -> Iterator[tuple[object, ...]]:
    """Yield a row of HEAD per peak."""
    for precision, rates in peaks.flops.items():
        yield _row(f"matrix product, {precision}, TFLOP/s", rates, 1e12)
    yield _row("copy, TB/s read and written", peaks.bytes_per_second, 1e12)


def _row(name: str, rates: list[float] | None, unit: float) -> tuple[object, ...]:
    if not rates:
        return (name, NOT_MEASURED, "", "", "")
    middle = sorted(rates)[len(rates) // 2]
    values = [f"{value / unit:.3g}" for value in (middle, min(rates), max(rates))]
    return (name, values[0], len(rates), *values[1:])


def describe(device: torch.device) -> Iterator[str]:
    """Yield the card, its driver and the versions of the libraries."""
    yield f"Python {platform.python_version()}, {platform.platform()}"
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        memory = properties.total_memory / 2**30
        yield f"{properties.name}, {memory:.0f} GiB, CUDA {torch.version.cuda}"
        yield f"cuDNN {torch.backends.cudnn.version()}"
    else:
        yield "no GPU: a rehearsal on a CPU, whose numbers mean nothing"
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} is not installed"


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_device_option(parser)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--gigabytes", type=float, default=4.0)
    options = parser.parse_args()
    device = torch.device(options.device)
    print("\n".join(describe(device)), flush=True)
    print_rows(
        "Peaks of the device",
        HEAD,
        peak_rows(measure_peaks(device, options.side, options.gigabytes)),
    )


if __name__ == "__main__":
    main()
