"""Sensors of an NVIDIA GPU: clock, temperature, throttling and other processes."""

import os
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import torch

from resomap.system.nvml import open_card, query

IDLE_BIT = 0x1  # NVML's bit for clocks that are low because nothing runs: no throttling
# The other bits (nvmlClocksEventReason* in nvml.h), under the names that nvidia-smi gives them.
THROTTLE_REASONS = {
    0x2: "application clocks setting",
    0x4: "SW power cap",
    0x8: "HW slowdown",
    0x10: "sync boost",
    0x20: "SW thermal slowdown",
    0x40: "HW thermal slowdown",
    0x80: "HW power brake",
    0x100: "display clock setting",
    0x200: "board limit",
    0x400: "reliability voltage",
}
# Heat and a failing power supply invalidate a measurement, because another machine, or this one
# an hour later, does not have them. The software power cap does not: an H100 reaches its rated
# power under any large batch, and the cap then sets the clock. That is how fast the card is,
# for every user, and without it no throughput would be left to report. Configured clocks last,
# too. All reasons are recorded beside the measurement.
INVALIDATING_REASONS = frozenset(
    {"HW slowdown", "SW thermal slowdown", "HW thermal slowdown", "HW power brake"}
)

When = Literal["before", "during", "after"]


class GpuState(NamedTuple):
    """One reading of a GPU's sensors; None for a value that card or driver do not provide.

    `throttle_reasons` lists all reasons, also those that do not invalidate a measurement;
    `other_processes` counts compute contexts of other processes on the device.
    """

    sm_mhz: int | None
    temperature_c: int | None
    throttle_reasons: tuple[str, ...]
    other_processes: int | None

    @property
    def throttled(self) -> bool:
        """True if heat or the power supply slows the GPU down."""
        return not INVALIDATING_REASONS.isdisjoint(self.throttle_reasons)

    @property
    def crowded(self) -> bool:
        """True if other processes are known to use the GPU."""
        return bool(self.other_processes)


class SensorLog:
    """Sensor readings before, during and after a measurement; empty on a CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._readings: list[tuple[When, GpuState]] = []

    def read(self, when: When) -> GpuState | None:
        """Read the sensors and store the result; `during` is read while the GPU is at work."""
        state = read_gpu(self._device)
        if state is not None:
            self._readings.append((when, state))
        return state

    @property
    def records(self) -> list[dict[str, Any]] | None:
        """Readings in order, as JSON values; None without any."""
        return [{"when": when, **state._asdict()} for when, state in self._readings] or None

    @property
    def why_invalid(self) -> str | None:
        """Disturbance of the measurement; None if none is known."""
        return why_invalid(state for _, state in self._readings)


def why_invalid(states: Iterable[GpuState]) -> str | None:
    """Return `other processes on the GPU` or `throttled` if a state shows it, else None."""
    states = list(states)
    if any(state.crowded for state in states):
        return "other processes on the GPU"
    return "throttled" if any(state.throttled for state in states) else None


def read_gpu(device: torch.device) -> GpuState | None:
    """Read the sensors of the GPU behind `device`; None on a CPU or if NVML does not answer."""
    card = open_card(device)
    if card is None:
        return None
    nvml, whole = card.nvml, card.whole
    reasons = query(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, whole)
    processes = query(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, card.visible)
    return GpuState(
        sm_mhz=query(nvml, nvml.nvmlDeviceGetClockInfo, whole, nvml.NVML_CLOCK_SM),
        temperature_c=query(
            nvml, nvml.nvmlDeviceGetTemperature, whole, nvml.NVML_TEMPERATURE_GPU
        ),
        throttle_reasons=_name_reasons(reasons or 0),
        other_processes=_count_others(processes, device),
    )


def _name_reasons(mask: int) -> tuple[str, ...]:
    names = []
    for position in range(mask.bit_length()):
        bit = 1 << position
        if mask & bit and bit != IDLE_BIT:
            names.append(THROTTLE_REASONS.get(bit, f"reason {bit:#x}"))
    return tuple(names)


def _count_others(processes: list[Any] | None, device: torch.device) -> int | None:
    if processes is None:
        return None
    pids = {process.pid for process in processes}
    if os.getpid() in pids:
        return len(pids) - 1
    # In a container the driver may report the pids of the host. One of them is this process, if
    # it holds memory on the device.
    return max(len(pids) - bool(torch.cuda.memory_reserved(device)), 0)
